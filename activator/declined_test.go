package activator_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/activator"
)

// TestF12NotProcessedOfAStranger: a pod whose queue-proxy has not said in a probe's answer that it is ours is not believed
// when an answer says that the request was not processed: its app may say what it likes.
func TestF12NotProcessedOfAStranger(t *testing.T) {
	for _, c := range []struct {
		features, grpcStatus string
		status, executed     int
	}{
		{"", "", 200, 1},
		{"", "", 421, 1},
		{"", "", 429, 1},
		{"", "", 502, 1},
		{"", "", 503, 1},
		{"", "14", 200, 1},
		{"other", "", 503, 1},
		// One of ours is believed with the statuses that it sends.
		{"no-queue", "", 200, 1},
		{"no-queue", "0", 200, 1},
		{"no-queue", "", 404, 1},
		{"no-queue", "", 500, 1},
		{"no-queue", "", 504, 1},
		{"no-queue", "", 429, 3},
		{"no-queue", "", 503, 3},
		{"no-queue", "8", 200, 3},
		{"no-queue", "14", 200, 3},
	} {
		t.Run(fmt.Sprintf("%q %d %s", c.features, c.status, c.grpcStatus), func(t *testing.T) {
			t.Parallel()
			var executed atomic.Int64
			pods := make([]*pod, 3)
			for i := range pods {
				p := newPod(t, fmt.Sprint("pod-", i), 0, false, nil)
				p.kill()
				p.wrap = func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("K-Network-Probe") == "queue" {
						if c.features != "" {
							w.Header().Set("Sluice-Features", c.features)
						}
						_, _ = io.WriteString(w, "queue")
						return
					}
					executed.Add(1)
					w.Header().Set("Sluice-Not-Processed", "1")
					if c.grpcStatus != "" {
						w.Header().Set("Grpc-Status", c.grpcStatus)
					}
					w.WriteHeader(c.status)
				}
				p.listen(t, "127.0.0.1:0")
				pods[i] = p
			}
			f := newFront(t, activator.Config{})
			f.UpdateRevision(activator.Revision{ID: hello})
			f.UpdateEndpoints(hello, endpointsOf(pods...))
			f.awaitUsable(t, len(pods))
			a := f.do(http.MethodPost, "/", []byte("body"))
			if n := executed.Load(); n != int64(c.executed) || a.status != c.status || a.header.Get("Sluice-Not-Processed") != "" {
				t.Errorf("executed %d times, want %d; the client got %v %v", n, c.executed, a, a.header)
			}
		})
	}
}

// TestF12PrivateFieldsReachNoApp: what a client says in the name of a proxy goes no further than the activator.
func TestF12PrivateFieldsReachNoApp(t *testing.T) {
	got := make(chan http.Header, 1)
	p := newPod(t, "pod", 0, false, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(p))
	f.awaitUsable(t, 1)
	fields := []string{
		"Sluice-No-Queue", "Sluice-Not-Processed", "Sluice-Features", "Sluice-Trace", "Sluice-Pod-Addr", "K-Network-Hash",
	}
	args := []string{"K-Network-Probe", "", "K-Original-Host", "asked.example", "Knative-Serving-Tag", "blue"}
	for _, name := range fields {
		args = append(args, name, "1")
	}
	if a := f.get("/", args...); !a.ok() {
		t.Fatal(a)
	}
	h := <-got
	for _, name := range append(fields, "K-Network-Probe") {
		if v, ok := h[name]; ok {
			t.Errorf("%s: %q reached the pod", name, v)
		}
	}
	for name, want := range map[string]string{"K-Original-Host": "asked.example", "K-Proxy-Request": "activator", "Knative-Serving-Tag": "blue"} {
		if h.Get(name) != want {
			t.Errorf("%s: %q at the pod, want %q", name, h.Get(name), want)
		}
	}
}
