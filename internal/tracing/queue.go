package tracing

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// queue holds spans in the order in which they ended.
type queue struct {
	dropped atomic.Uint64
	wake    chan struct{} // capacity 1: there is a batch

	mu    sync.Mutex
	spans []otlp.Span
	taken int // spans of the batch that is being exported
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
	q.taken = n
	batch := q.spans[:n:n]
	q.spans = q.spans[n:]
	if len(q.spans) == 0 {
		q.spans = nil // batch uses the memory
	}
	return batch
}

// pending returns the number of spans that have been put and are neither exported nor dropped.
func (q *queue) pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.spans) + q.taken
}
