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

// Table returns the lines of a table of services and their revisions.
func Table(services []Service) []string { return layout(services, false) }

// table has a line for each service, and below it those of its revisions. If that is higher than room, the revisions of plain
// services are left out.
func table(services []Service, room int) []string {
	lines := layout(services, false)
	if len(lines) > room {
		lines = layout(services, true)
	}
	return lines
}

// layout has the lines of the table; brief leaves out the revisions of plain services. Below a revision are the URLs of its
// further tags, and its reason.
func layout(services []Service, brief bool) []string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	reasons := map[int]string{} // by line of w, that they are below
	n := 0
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...); n++ }
	line("SERVICE\tTRAFFIC\tREPLICAS\tSTATE\tURL")
	for _, s := range services {
		line("%s\t\t%d/%d\t%s\t%s", s.Name, s.Actual, s.Desired, s.State, s.URL)
		if brief && s.plain() {
			reasons[n] = s.reason()
			continue
		}
		for _, r := range s.Revisions {
			urls := append(slices.Clone(r.URLs), "")
			line("  %s\t%d%%\t%d/%d\t%s\t%s", r.Name, r.Percent, r.Actual, r.Desired, r.State, urls[0])
			for _, url := range urls[1:max(len(r.URLs), 1)] {
				line("\t\t\t\t%s", url)
			}
			reasons[n] = r.Reason
		}
	}
	w.Flush() // to a strings.Builder
	var lines []string
	for i, text := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
		lines = append(lines, strings.TrimRight(text, " "))
		if why := reasons[i+1]; why != "" {
			lines = append(lines, "    "+clean(why))
		}
	}
	return lines
}

// room returns how many lines a table may have on a terminal of that height: what has scrolled out can't be erased. An empty
// line is above the table, the cursor's line below it.
func room(height int) int { return max(height-2, 2) }

// fit keeps as many lines of a table as there is room for.
func fit(lines []string, room int) []string {
	if len(lines) <= room {
		return lines
	}
	more := len(lines) - (room - 1)
	return append(lines[:room-1:room-1], fmt.Sprintf("… and %d lines more: the terminal is too low", more))
}

// changes returns the lines of services that are new or have changed, and one for each service that was removed.
func changes(old, services []Service) (lines []string) {
	before := map[string][]string{}
	for _, s := range old {
		before[s.URL] = s.lines()
	}
	for _, s := range services {
		for _, line := range s.lines() {
			if !slices.Contains(before[s.URL], line) {
				lines = append(lines, line)
			}
		}
	}
	for _, o := range old {
		if !slices.ContainsFunc(services, func(s Service) bool { return s.URL == o.URL }) {
			lines = append(lines, "service "+o.Name+": gone")
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
