package screen

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// table has a line for each row, and one below it for its reason.
func table(rows []Row) []string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tREPLICAS\tSTATE\tURL\tLATEST")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d/%d\t%s\t%s\t%s\n", r.Service, r.Actual, r.Desired, r.Ready, r.URL, r.Latest)
	}
	w.Flush() // to a strings.Builder
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i, r := range slices.Backward(rows) {
		if r.Reason != "" {
			indent := strings.Repeat(" ", strings.Index(lines[0], "REPLICAS"))
			lines = slices.Insert(lines, i+2, indent+clean(r.Reason))
		}
	}
	return lines
}

// fit keeps as many lines of a table as fit on a terminal of that height: lines that have scrolled out can't be erased. An
// empty line is above the table, the cursor's line below it.
func fit(lines []string, height int) []string {
	room := max(height-2, 2)
	if len(lines) <= room {
		return lines
	}
	more := len(lines) - (room - 1)
	return append(lines[:room-1:room-1], fmt.Sprintf("… and %d lines more: the terminal is too low", more))
}

// changes returns a line for each row that is new or has changed, and for each that was removed.
func changes(old, rows []Row) (lines []string) {
	for _, r := range rows {
		if slices.Contains(old, r) {
			continue
		}
		line := fmt.Sprintf("service %s: %s, latest %s, replicas %d/%d, %s", r.Service, r.Ready, r.Latest, r.Actual, r.Desired, r.URL)
		if r.Reason != "" {
			line += " (" + r.Reason + ")"
		}
		lines = append(lines, line)
	}
	for _, o := range old {
		if !slices.ContainsFunc(rows, func(r Row) bool { return r.URL == o.URL }) {
			lines = append(lines, "service "+o.Service+": gone")
		}
	}
	return lines
}

// clean makes control characters visible, so that an app's output can't move the cursor.
func clean(s string) string {
	if !strings.ContainsFunc(s, isControl) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case isControl(r):
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool { return unicode.IsControl(r) && r != '\t' }

// cut keeps the first width characters.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// Escape sequences: ECMA-48 CPL (to the beginning of the line, n up) and ED (erase to the end).
const (
	linesUp    = "\x1b[%dF"
	eraseBelow = "\x1b[J"
)

// erase removes a table of n lines directly above the cursor.
func erase(b *bytes.Buffer, n int) {
	if n > 0 {
		fmt.Fprintf(b, linesUp+eraseBelow, n)
	}
}
