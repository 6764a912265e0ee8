// Package podlog keeps the latest output of the containers of a pod, for kubectl logs.
package podlog

import (
	"context"
	"io"
	"sync"
	"time"
)

// maxSize bounds the text of a Log, in bytes with lineCost for each line; the oldest lines go first.
const (
	maxSize  = 256 << 10
	lineCost = 48
)

// Log is the output of one container. It is safe for concurrent use. The zero value is empty.
type Log struct {
	mu      sync.Mutex
	lines   []line
	first   int // number of the first line of lines, counted from the container's beginning
	size    int
	run     int // number of the current process
	changed chan struct{}
	closed  bool
}

type line struct {
	at   time.Time
	run  int
	text string
}

// Options say which part of a Log is read.
type Options struct {
	Follow     bool  // wait for more, until the Log is closed
	Previous   bool  // of the process before the current one
	Timestamps bool  // before each line
	Tail       int64 // how many of the latest lines; negative: all
	Since      time.Time
	LimitBytes int64 // 0: no limit
}

// Began notes that a new process of the container runs.
func (l *Log) Began() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.run++
}

// Add appends a line of the current process.
func (l *Log) Add(at time.Time, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line{at, l.run, text})
	l.size += len(text) + lineCost
	for l.size > maxSize && len(l.lines) > 1 {
		l.size -= len(l.lines[0].text) + lineCost
		l.lines[0] = line{}
		l.lines = l.lines[1:]
		l.first++
	}
	l.wakeLocked()
}

// Close ends the readers that follow, once they have read everything.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wakeLocked()
}

func (l *Log) wakeLocked() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Open returns a reader of the Log, which ends when ctx ends.
func (l *Log) Open(ctx context.Context, o Options) io.ReadCloser {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &reader{log: l, ctx: ctx, Options: o, run: l.run, next: l.first, limit: o.LimitBytes}
	if o.Previous {
		r.run--
		r.Follow = false
	}
	if o.Tail >= 0 {
		r.next = l.first + len(l.lines)
		for n := o.Tail; n > 0 && r.next > l.first; {
			r.next--
			if r.wants(&l.lines[r.next-l.first]) {
				n--
			}
		}
	}
	return r
}

// reader reads a Log. If it is too slow for what is kept, it skips lines.
type reader struct {
	Options
	log   *Log
	ctx   context.Context
	run   int
	next  int // number of the next line
	rest  []byte
	limit int64 // bytes left, if LimitBytes isn't 0
	ended bool
}

// wants reports whether a line is to be read: with Follow also those of later processes.
func (r *reader) wants(l *line) bool {
	return (l.run == r.run || r.Follow && l.run > r.run) && !l.at.Before(r.Since)
}

// Read implements io.Reader. It blocks only with Follow.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		if more := r.fill(); more != nil {
			select {
			case <-more:
			case <-r.ctx.Done():
				r.ended = true
			}
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fill takes the lines that there are; if there are none, it returns a channel that closes when there may be.
func (r *reader) fill() (more chan struct{}) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	r.next = max(r.next, l.first)
	for ; r.next < l.first+len(l.lines); r.next++ {
		if one := &l.lines[r.next-l.first]; r.wants(one) {
			if r.Timestamps {
				r.rest = one.at.UTC().AppendFormat(r.rest, time.RFC3339Nano+" ")
			}
			r.rest = append(append(r.rest, one.text...), '\n')
		}
	}
	if r.LimitBytes > 0 {
		r.rest = r.rest[:min(int64(len(r.rest)), r.limit)]
		r.limit -= int64(len(r.rest))
		r.ended = r.limit == 0
	}
	if !r.Follow || l.closed {
		r.ended = true
	}
	if r.ended || len(r.rest) > 0 {
		return nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Close implements io.Closer.
func (r *reader) Close() error { return nil }
