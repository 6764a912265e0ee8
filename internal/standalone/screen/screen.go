package screen

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// Row is one service.
type Row struct {
	Service, URL string
	Latest       string // revision
	Ready        State
	Reason       string // of what is not ready, or else worth saying; may be empty
	// Actual and Desired are replicas over all revisions.
	Actual, Desired int
}

// State of a service.
type State string

// The states.
const (
	Ready    State = "ready"
	Starting State = "starting"
	NotReady State = "not ready"
)

// Config of a Screen.
type Config struct {
	Out io.Writer
	// Width is asked before each drawing for the terminal's columns; nil: Out is no terminal.
	Width func() int
}

// Screen writes to Config.Out. Errors of writing are dropped: there is no place to tell them.
type Screen struct {
	config Config

	mu    sync.Mutex
	rows  []Row
	drawn int // lines of the table on the terminal
}

// New makes an empty Screen.
func New(c Config) *Screen { return &Screen{config: c} }

// Line writes a line of text. Control characters in it are shown, not obeyed.
func (s *Screen) Line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	s.eraseTo(&b)
	b.WriteString(clean(text))
	b.WriteByte('\n')
	s.drawTo(&b)
	s.config.Out.Write(b.Bytes())
}

// Show replaces the rows. It writes only when something has changed.
func (s *Screen) Show(rows []Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(rows, s.rows) {
		return
	}
	var b bytes.Buffer
	if s.config.Width == nil {
		writeChanges(&b, s.rows, rows)
		s.rows = slices.Clone(rows)
	} else {
		s.eraseTo(&b)
		s.rows = slices.Clone(rows)
		s.drawTo(&b)
	}
	s.config.Out.Write(b.Bytes())
}

// Escape sequences: ECMA-48 CPL (to the beginning of the line, n up) and ED (erase to the end).
const (
	linesUp    = "\x1b[%dF"
	eraseBelow = "\x1b[J"
)

func (s *Screen) eraseTo(b *bytes.Buffer) {
	if s.drawn > 0 {
		fmt.Fprintf(b, linesUp+eraseBelow, s.drawn)
	}
	s.drawn = 0
}

// drawTo draws the table; each of its lines fits, since a wrapped one could not be erased.
func (s *Screen) drawTo(b *bytes.Buffer) {
	if s.config.Width == nil || len(s.rows) == 0 {
		return
	}
	width := s.config.Width()
	for line := range strings.Lines("\n" + table(s.rows)) {
		b.WriteString(cut(strings.TrimSuffix(line, "\n"), width-1))
		b.WriteByte('\n')
		s.drawn++
	}
}

// table has a line for each row, and one below it for its reason.
func table(rows []Row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tREPLICAS\tSTATE\tURL\tLATEST")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d/%d\t%s\t%s\t%s\n", r.Service, r.Actual, r.Desired, r.Ready, r.URL, r.Latest)
	}
	w.Flush() // to a strings.Builder
	lines := slices.Collect(strings.Lines(b.String()))
	for i, r := range slices.Backward(rows) {
		if r.Reason != "" {
			indent := strings.Repeat(" ", strings.Index(lines[0], "REPLICAS"))
			lines = slices.Insert(lines, i+2, indent+clean(r.Reason)+"\n")
		}
	}
	return strings.Join(lines, "")
}

// writeChanges writes a line for each row that is new or another, and for each that is gone.
func writeChanges(b *bytes.Buffer, old, rows []Row) {
	for _, r := range rows {
		if !slices.Contains(old, r) {
			fmt.Fprintf(b, "service %s: %s, latest %s, replicas %d/%d, %s", r.Service, r.Ready, r.Latest, r.Actual, r.Desired, r.URL)
			if r.Reason != "" {
				fmt.Fprintf(b, " (%s)", clean(r.Reason))
			}
			b.WriteByte('\n')
		}
	}
	for _, o := range old {
		if !slices.ContainsFunc(rows, func(r Row) bool { return r.URL == o.URL }) {
			fmt.Fprintf(b, "service %s: gone\n", o.Service)
		}
	}
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
