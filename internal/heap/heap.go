// Package heap keeps Go's garbage collector from running all the time over a heap that is small.
//
// At GOGC=100 a heap is collected whenever it has doubled, and one of 3 MB, as a proxy's is while few clients are there,
// has doubled after some hundreds of requests of HTTP/2, of which net/http makes 10 KB of garbage each: a fifth of all
// CPU time went into that. What a collection costs depends on what lives, so that one over a small heap is cheap, but so
// is the memory that it saves.
//
//	main ─► Slack ─► after each collection: live heap ─► GOGC
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	usual = 100 // GOGC, unless somebody has set it
	// minimum is the heap below which Go doesn't collect at GOGC=100; it is in proportion to GOGC (runtime, mgcpacer.go).
	minimum = 4 << 20
)

// Slack has the collector wait until there may be so many bytes of garbage, or as much as lives if that is more, which is
// what it would wait for anyway: a heap above that size behaves as ever. GOMEMLIMIT is kept. Where GOGC is set, whoever
// did that has decided, and Slack does nothing. It is for main: there is one heap. Stop ends it and does not block.
func Slack(bytes uint64) (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	w := &watcher{slack: bytes, percent: usual}
	w.arm()
	return w.stop
}

// watcher follows the collections of the process. Its methods run on the runtime's goroutine for finalizers.
type watcher struct {
	slack uint64

	mu      sync.Mutex
	percent int
	stopped bool
}

// sentinel is garbage, so that its finalizer runs after the next collection.
type sentinel struct{ w *watcher }

func (w *watcher) arm() {
	runtime.SetFinalizer(&sentinel{w}, func(s *sentinel) { s.w.collected() })
}

func (w *watcher) collected() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	lives := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(lives)
	p := percent(lives[0].Value.Uint64(), lives[1].Value.Uint64()+lives[2].Value.Uint64(), w.slack)
	if d := p - w.percent; d > w.percent/10 || -d > w.percent/10 { // to set it stops the world for a moment
		w.percent = p
		debug.SetGCPercent(p)
	}
	w.arm()
}

func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	debug.SetGCPercent(usual)
}

// percent is the GOGC at which slack bytes may be garbage over live ones. It is applied to roots too, which are stacks and
// globals (a guide to the Go garbage collector, "GOGC").
func percent(live, roots, slack uint64) int {
	return int(max(usual, min(slack*100/max(live+roots, 1<<10), (live+slack)*100/minimum)))
}
