package activator_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
)

// TestRequestsOutliveAnAppThatDied: what a queue-proxy could not hand to its app goes back to its place in line, and
// the pod gets nothing more until a probe has passed. (All of the line used to be sent into the dead pod, one 502 each.)
func TestRequestsOutliveAnAppThatDied(t *testing.T) {
	t.Parallel()
	f := newFront(t, activator.Config{})
	var up atomic.Bool
	up.Store(true)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Sluice-Features", "no-queue")
		switch probe := r.Header.Get("K-Network-Probe") == "queue"; {
		case probe && up.Load():
			_, _ = io.WriteString(w, "queue")
		case probe:
			w.WriteHeader(http.StatusServiceUnavailable)
		case up.Load():
			_, _ = io.Copy(w, r.Body)
		default:
			w.Header().Set("Sluice-Not-Processed", "1")
			http.Error(w, "connection refused", http.StatusBadGateway)
		}
	}))
	t.Cleanup(s.Close)
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 5})
	f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{
		{ID: "pod-1", Addr: strings.TrimPrefix(s.URL, "http://")},
	}})
	f.awaitUsable(t, 1)
	up.Store(false)
	const n = 30
	all := make(chan []answer, 1)
	go func() { all <- together(n, func(int) answer { return f.do(http.MethodPost, "/", []byte("body")) }) }()
	f.awaitWaiting(t, n)
	// It takes its time to come back: longer than three attempts with the throttler's pauses between them.
	for began := time.Now(); time.Since(began) < time.Second; time.Sleep(10 * time.Millisecond) {
		f.awaitWaiting(t, n)
	}
	up.Store(true)
	for _, a := range <-all {
		if !a.ok() || a.body != "body" {
			t.Error(a)
		}
	}
}
