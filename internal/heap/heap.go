// Package heap makes Go's garbage collector run less often over a small heap.
//
// At GOGC=100 a collection starts whenever the heap has doubled. The heap of a proxy with few clients is 3 MB, and doubles
// after some hundreds of HTTP/2 requests, for each of which net/http leaves 10 KB of garbage: collections took a fifth of
// all CPU time, and saved little memory.
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
	usual = 100 // default GOGC
	// minimum is the heap below which Go doesn't collect at GOGC=100; it scales with GOGC (runtime, mgcpacer.go).
	minimum = 4 << 20
)

// Slack delays collections until there may be that many bytes of garbage; a heap with more live bytes than that is
// collected as by default. GOMEMLIMIT still applies. If GOGC is set, Slack does nothing. Only main should call it, since
// there is one heap. stop restores the default and does not block.
func Slack(bytes uint64) (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	w := &watcher{slack: bytes, percent: usual}
	w.arm()
	return w.stop
}

// watcher adjusts GOGC after each collection, on the runtime's goroutine for finalizers.
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
	if d := p - w.percent; d > w.percent/10 || -d > w.percent/10 { // SetGCPercent stops the world briefly
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

// percent returns the GOGC that allows slack bytes of garbage. GOGC applies to live bytes and to roots, which are stacks
// and globals (A Guide to the Go Garbage Collector, "GOGC").
func percent(live, roots, slack uint64) int {
	return int(max(usual, min(slack*100/max(live+roots, 1<<10), (live+slack)*100/minimum)))
}
