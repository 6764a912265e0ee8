package screen

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"sync"
	"time"
)

// Config of a Screen.
type Config struct {
	Out io.Writer
	// Size returns the terminal's columns and lines and is called before each drawing. Nil: Out is not a terminal.
	Size func() (columns, lines int)
}

// maxBuffered bounds the lines that wait to be written, in bytes with lineCost for each line: some thousand lines of usual
// length.
const (
	maxBuffered = 1 << 20
	lineCost    = 16
)

// Screen writes to Config.Out. It ignores errors of writing, which it could not show.
type Screen struct {
	config  Config
	changed chan struct{} // of capacity one: there is something to write, or Close was called
	done    chan struct{} // closed when the owner has ended

	mu      sync.Mutex
	lines   []string // to be written, oldest first
	size    int      // of lines
	dropped int      // since the last writing
	table   []Service
	redraw  bool
	closed  bool
}

// New returns an empty Screen, which owns a goroutine until Close.
func New(c Config) *Screen {
	s := &Screen{config: c, changed: make(chan struct{}, 1), done: make(chan struct{})}
	go s.own()
	return s
}

// Close writes the buffered lines and ends the Screen; later lines are dropped. It waits for limit at most. If the output
// still blocks then, the Screen's goroutine ends when the output is read.
func (s *Screen) Close(limit time.Duration) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wake()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
	}
}

// Line writes a line of text. Control characters in it are made visible. It doesn't block.
func (s *Screen) Line(text string) {
	text = clean(text)
	s.mu.Lock()
	s.addLocked(text)
	s.mu.Unlock()
	s.wake()
}

// Show replaces the services. It writes only if they have changed. It doesn't block, and keeps services.
func (s *Screen) Show(services []Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reflect.DeepEqual(services, s.table) {
		return
	}
	if s.config.Size == nil {
		for _, line := range changes(s.table, services) {
			s.addLocked(clean(line))
		}
	}
	s.table, s.redraw = services, true
	s.wake()
}

// addLocked appends a line, and drops the oldest ones if the buffer is full.
func (s *Screen) addLocked(line string) {
	if s.closed {
		return
	}
	s.lines = append(s.lines, line)
	s.size += len(line) + lineCost
	for s.size > maxBuffered && len(s.lines) > 1 {
		s.size -= len(s.lines[0]) + lineCost
		s.lines[0] = ""
		s.lines = s.lines[1:]
		s.dropped++
	}
}

func (s *Screen) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// own writes until the Screen is closed and everything is written.
func (s *Screen) own() {
	defer close(s.done)
	drawn := 0 // lines of the table on the terminal
	for range s.changed {
		b, n, last := s.take(drawn)
		if b.Len() > 0 {
			s.config.Out.Write(b.Bytes())
		}
		if drawn = n; last {
			return
		}
	}
}

// take returns what to write below a table of drawn lines, the number of lines of the new table, and whether it is the
// last.
func (s *Screen) take(drawn int) (b *bytes.Buffer, n int, last bool) {
	s.mu.Lock()
	lines, dropped, services, redraw := s.lines, s.dropped, s.table, s.redraw
	s.lines, s.size, s.dropped, s.redraw = nil, 0, 0, false
	last = s.closed
	s.mu.Unlock()

	b = new(bytes.Buffer)
	if len(lines) == 0 && (s.config.Size == nil || !redraw) {
		return b, drawn, last
	}
	erase(b, drawn)
	if dropped > 0 {
		fmt.Fprintf(b, "sluice: %d lines were dropped, because the output was not read\n", dropped)
	}
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b, s.draw(b, services), last
}

// draw draws the table and returns its height. It truncates lines, since a wrapped line could not be erased.
func (s *Screen) draw(b *bytes.Buffer, services []Service) int {
	if s.config.Size == nil || len(services) == 0 {
		return 0
	}
	columns, height := s.config.Size()
	lines := fit(table(services, room(height)), room(height))
	b.WriteByte('\n')
	for _, line := range lines {
		b.WriteString(cut(line, columns-1))
		b.WriteByte('\n')
	}
	return len(lines) + 1
}
