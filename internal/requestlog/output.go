package requestlog

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// keep is how large a buffer is kept for the next lines; a larger one, of a burst, is let go.
const keep = 64 << 10

// output hands lines to a writer that may be slow, without making anybody wait.
type output struct {
	w       io.Writer
	max     int // bytes in lines
	dropped atomic.Uint64
	wake    chan struct{} // of one: there are lines, or it is closed
	done    chan struct{} // closed when run has ended

	mu      sync.Mutex
	lines   batch
	running bool
	closed  bool
}

// batch is lines one after the other.
type batch struct {
	text []byte
	ends []int
}

func (o *output) init(w io.Writer, limit int) {
	o.w, o.max = w, limit
	o.wake, o.done = make(chan struct{}, 1), make(chan struct{})
}

// put appends a line, which it copies, or drops it.
func (o *output) put(line []byte) {
	o.mu.Lock()
	if o.closed || len(o.lines.text)+len(line) > o.max {
		o.mu.Unlock()
		o.dropped.Add(1)
		return
	}
	o.lines.text = append(o.lines.text, line...)
	o.lines.ends = append(o.lines.ends, len(o.lines.text))
	if !o.running {
		o.running = true
		go o.run()
	}
	o.mu.Unlock()
	o.poke()
}

func (o *output) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run writes until the output is closed and empty.
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

// swap takes the lines there are, and leaves the room of b for the next ones.
func (o *output) swap(b batch) (batch, bool) {
	if cap(b.text) > keep {
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
	o.poke()
	select {
	case <-o.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
