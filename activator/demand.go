package activator

import (
	"sync"
	"sync/atomic"
)

// demand lets probes know whether requests wait for their revision.
type demand struct {
	waiting atomic.Int32

	mu   sync.Mutex
	wake chan struct{} // nil: no probe waits for it. Closed when the first request begins to wait
}

// begin counts a request that waits, until end.
func (h *demand) begin() {
	if h.waiting.Add(1) > 1 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wake != nil {
		close(h.wake)
		h.wake = nil
	}
}

func (h *demand) end() { h.waiting.Add(-1) }

// idle returns nil while requests wait, else a channel that is closed when one begins to.
func (h *demand) idle() <-chan struct{} {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting.Load() > 0 { // a begin that came after this will close what is returned
		return nil
	}
	if h.wake == nil {
		h.wake = make(chan struct{})
	}
	return h.wake
}
