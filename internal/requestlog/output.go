package requestlog

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// maxKept is the size of the largest buffer that is kept for further lines; a burst may need a larger one for a moment.
const maxKept = 64 << 10

// output writes lines to a writer that may be slow, and its callers never wait for that.
type output struct {
	w       io.Writer
	max     int // bytes in lines
	dropped atomic.Uint64
	pending atomic.Int64  // lines that are neither written nor dropped
	wake    chan struct{} // capacity 1: there are lines, or closed is set
	done    chan struct{} // closed when run has ended

	mu      sync.Mutex
	lines   batch
	running bool
	closed  bool
}

// batch holds lines one after the other, and where each ends.
type batch struct {
	text []byte
	ends []int
}

func (o *output) init(w io.Writer, limit int) {
	o.w, o.max = w, limit
	o.wake, o.done = make(chan struct{}, 1), make(chan struct{})
}

// put appends a copy of a line, or drops the line.
func (o *output) put(line []byte) {
	o.mu.Lock()
	if o.closed || len(o.lines.text)+len(line) > o.max {
		o.mu.Unlock()
		o.dropped.Add(1)
		return
	}
	o.lines.text = append(o.lines.text, line...)
	o.lines.ends = append(o.lines.ends, len(o.lines.text))
	o.pending.Add(1)
	if !o.running {
		o.running = true
		go o.run()
	}
	o.mu.Unlock()
	o.notify()
}

func (o *output) notify() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run writes lines until the output is closed and empty.
func (o *output) run() {
	defer close(o.done)
	var b batch
	for range o.wake {
		closed := false
		for {
			if b, closed = o.swap(b); len(b.ends) == 0 {
				break
			}
			o.write(b)
		}
		if closed {
			return
		}
	}
}

// swap returns the buffered lines, and reuses the memory of b for further ones.
func (o *output) swap(b batch) (batch, bool) {
	if cap(b.text) > maxKept {
		b = batch{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.lines
	o.lines = batch{b.text[:0], b.ends[:0]}
	return lines, o.closed
}

func (o *output) write(b batch) {
	begin := 0
	for _, end := range b.ends {
		if _, err := o.w.Write(b.text[begin:end]); err != nil {
			o.dropped.Add(1)
		}
		o.pending.Add(-1)
		begin = end
	}
}

func (o *output) close(ctx context.Context) error {
	o.mu.Lock()
	o.closed = true
	running := o.running
	o.mu.Unlock()
	if !running {
		return nil
	}
	o.notify()
	select {
	case <-o.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
