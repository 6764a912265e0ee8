package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	loadConns = 64  // the connections of a load
	aLoad     = 100 // after so many answers a load has started, at any rate
)

// load is an open loop: each connection (HTTP/2: goroutine) has its own schedule and catches up if it is late.
type load struct {
	client *http.Client
	url    atomic.Pointer[string]
	began  time.Time
	stop   chan struct{}
	wg     sync.WaitGroup

	mu       sync.Mutex
	requests int
	failures []string       // the first failures
	failed   int            // the number of all failures
	cut      int            // failures without an answer, or with a truncated one
	byRev    map[string]int // answers per revision
	byPID    map[int]int    // maximum of requests in flight in each process
}

func (q *quickstart) startLoad(url string) *load { return startLoad(q.client(loadConns), url) }

// startLoad starts a load, which runs until end.
func startLoad(c *http.Client, url string) *load {
	l := &load{
		client: c, began: time.Now(), stop: make(chan struct{}),
		byRev: map[string]int{}, byPID: map[int]int{},
	}
	l.url.Store(&url)
	for i := range loadConns {
		l.wg.Go(func() { l.connection(i) })
	}
	return l
}

func (l *load) connection(i int) {
	const step = time.Second * loadConns / loadRate
	for at := l.began.Add(step * time.Duration(i) / loadConns); ; at = at.Add(step) {
		select {
		case <-l.stop:
			return
		case <-time.After(time.Until(at)):
			l.count(get(l.client, *l.url.Load()))
		}
	}
}

func (l *load) count(a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if !a.ok() {
		l.failed++
		if a.err != nil {
			l.cut++
		}
		if len(l.failures) < 10 {
			l.failures = append(l.failures, fmt.Sprintf("after %v: %v", a.sent.Sub(l.began).Round(time.Millisecond), a))
		}
		return
	}
	l.byRev[a.head.Get("X-Revision")]++
	l.byPID[a.pid()] = max(l.byPID[a.pid()], atoi(a.head.Get("X-In-Flight")))
}

// served returns the number of a revision's answers so far.
func (l *load) served(revision string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byRev[revision]
}

// end ends the load. It fails the test if a request failed, or if there were too few.
func (l *load) end(t testing.TB) {
	t.Helper()
	close(l.stop)
	elapsed := time.Since(l.began)
	l.wg.Wait()
	rate := float64(l.requests) / elapsed.Seconds()
	t.Logf("%d requests in %v: %.0f per second to %d processes", l.requests, elapsed.Round(time.Millisecond), rate, len(l.byPID))
	if l.failed > 0 {
		t.Errorf("%d of %d requests failed, first %q", l.failed, l.requests, l.failures)
	}
	if l.requests < loadConns {
		t.Errorf("%d requests are no load", l.requests)
	}
}

// within fails the test if a process had more than limit requests in flight.
func (l *load) within(t testing.TB, limit int) {
	t.Helper()
	for pid, n := range l.byPID {
		if n > limit {
			t.Errorf("process %d had %d in flight, limit %d", pid, n, limit)
		}
	}
}
