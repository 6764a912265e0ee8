package tracing

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// Run exports spans until ctx is done, and then those that are left, for Config.FlushTimeout at most. It returns nil. A change
// by Set applies to the next export.
func (t *Tracer) Run(ctx context.Context) error {
	// life outlasts ctx by the time to flush.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	last := time.AfterFunc(time.Hour, end)
	last.Stop()
	defer last.Stop()
	defer context.AfterFunc(ctx, func() { last.Reset(t.config.FlushTimeout) })()

	tick := time.NewTicker(batchDelay)
	defer tick.Stop()
	tick.Stop()
	var current *setting
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-t.changed:
		case <-t.queue.wake:
		case <-tick.C:
		}
		t.export(life, current)
		next := t.setting.Load()
		if done {
			next = nil
		}
		if next == current {
			continue
		}
		tick.Stop()
		if current != nil {
			t.spans.wanted.Store(false)
			t.export(life, current) // spans of requests that have just ended
			current.sink.Close()
		}
		if next != nil {
			t.spans.wanted.Store(true)
			tick.Reset(batchDelay)
		}
		current = next
	}
	return nil
}

// export sends all spans of the queue in batches.
func (t *Tracer) export(ctx context.Context, s *setting) {
	if s == nil {
		return
	}
	for {
		batch := t.queue.take()
		if len(batch) == 0 {
			return
		}
		err := s.sink.Export(ctx, batch)
		if err != nil {
			t.queue.dropped.Add(uint64(len(batch)))
		}
		if failing := err != nil; failing != t.failing {
			t.failing = failing
			if t.config.Failed != nil {
				t.config.Failed(err)
			}
		}
	}
}

// queue holds spans in the order in which they ended.
type queue struct {
	dropped atomic.Uint64
	wake    chan struct{} // capacity 1: there is a batch

	mu    sync.Mutex
	spans []otlp.Span
}

func (q *queue) put(s otlp.Span) {
	q.mu.Lock()
	n := len(q.spans)
	if n < maxQueue {
		q.spans = append(q.spans, s)
	}
	q.mu.Unlock()
	switch {
	case n >= maxQueue:
		q.dropped.Add(1)
	case n+1 >= batchSize:
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// take removes and returns the oldest spans, a batch at most.
func (q *queue) take() []otlp.Span {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.spans), batchSize)
	batch := q.spans[:n:n]
	q.spans = q.spans[n:]
	if len(q.spans) == 0 {
		q.spans = nil // batch uses the memory
	}
	return batch
}
