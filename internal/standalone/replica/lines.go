package replica

import (
	"bytes"
	"cmp"
	"strings"
	"sync"
)

// maxLine is the length above which a line of output is split.
const maxLine = 16 << 10

// lines is a writer that reports each line of a process. It is safe for concurrent use.
type lines struct {
	process Process
	to      *reporter

	mu    sync.Mutex
	part  []byte
	last  string // last informative line
	other string // last line that isn't empty
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

// flush reports the output after the last newline.
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

// saysLocked reports whether a line is informative, unlike what runtimes print after the message of a crash: stacks, which
// are indented or, in Go, end with an empty line, two lines of Node.js, and docker's advice after its errors.
func (l *lines) saysLocked(text string) bool {
	if strings.HasPrefix(text, "goroutine ") && strings.HasSuffix(text, "]:") {
		l.dump = true
	}
	if text == "" {
		l.dump = false
	}
	return text != "" && !l.dump && text[0] != ' ' && text[0] != '\t' && text != "}" &&
		!strings.HasPrefix(text, "Run 'docker ") && !strings.HasPrefix(text, "See 'docker ") && !strings.HasPrefix(text, "Node.js v") && !strings.HasPrefix(text, "Emitted 'error' event on ")
}

// lastLine returns the last informative line, if there is one.
func (l *lines) lastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cmp.Or(l.last, l.other)
}
