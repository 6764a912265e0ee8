package replica

import (
	"bytes"
	"cmp"
	"strings"
	"sync"
)

// maxLine is where a longer line of output is cut into several.
const maxLine = 16 << 10

// lines is a writer that reports each line of a process. Safe for concurrent use.
type lines struct {
	process Process
	to      *reporter

	mu    sync.Mutex
	part  []byte
	last  string // that says something
	other string // not empty
	dump  bool   // the stack of a goroutine is being written
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 && len(l.part)+len(p) < maxLine {
			l.part = append(l.part, p...)
			break
		}
		end, skip := i, 1
		if i < 0 || len(l.part)+i > maxLine {
			end, skip = max(maxLine-len(l.part), 0), 0
		}
		l.emitLocked(append(l.part, p[:end]...))
		p = p[end+skip:]
	}
	return n, nil
}

// flush reports what came after the last newline.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.emitLocked(l.part)
	}
}

func (l *lines) emitLocked(line []byte) {
	text := string(bytes.TrimRight(line, "\r"))
	l.part = l.part[:0]
	if l.saysLocked(text) {
		l.last = text
	} else if text != "" {
		l.other = text
	}
	l.to.report(Event{Kind: Line, Process: l.process, Text: text})
}

// saysLocked tells a line for people from what runtimes write below one when a program dies: stacks, which are indented
// but for Go's, of which each ends with an empty line, and two lines of Node.js.
func (l *lines) saysLocked(text string) bool {
	if strings.HasPrefix(text, "goroutine ") && strings.HasSuffix(text, "]:") {
		l.dump = true
	}
	if text == "" {
		l.dump = false
	}
	return text != "" && !l.dump && text[0] != ' ' && text[0] != '\t' && text != "}" &&
		!strings.HasPrefix(text, "Node.js v") && !strings.HasPrefix(text, "Emitted 'error' event on ")
}

// lastLine is the last one that said something, if there was one.
func (l *lines) lastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cmp.Or(l.last, l.other)
}
