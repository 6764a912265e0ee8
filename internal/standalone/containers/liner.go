package containers

import (
	"bytes"
	"strings"
)

// liner splits what an engine writes into lines. exec.Cmd writes to it from one goroutine at a time if it is both outputs.
type liner struct {
	line func(string) // may be nil
	last string       // that isn't empty
	rest []byte
}

// longest is how much of a line is kept.
const longest = 1 << 10

func (l *liner) Write(p []byte) (int, error) {
	for _, part := range bytes.SplitAfter(p, []byte("\n")) {
		l.rest = append(l.rest, part[:min(len(part), longest-min(len(l.rest), longest))]...)
		if bytes.HasSuffix(part, []byte("\n")) {
			l.flush()
		}
	}
	return len(p), nil
}

// flush ends the current line.
func (l *liner) flush() {
	text := strings.TrimSpace(string(l.rest))
	l.rest = l.rest[:0]
	if text == "" {
		return
	}
	l.last = text
	if l.line != nil {
		l.line(text)
	}
}
