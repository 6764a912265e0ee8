package activator_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
)

func TestProbes(t *testing.T) {
	f := newFront(t, activator.Config{})
	const badValue = "unexpected probe header value: %q\n"
	for _, c := range []struct {
		name   string
		path   string
		header []string
		status int
		body   string
	}{
		{"kubelet", "/healthz", []string{"User-Agent", "kube-probe/1.34"}, 200, ""},
		{"kubelet, rewritten", "/", []string{"K-Kubelet-Probe", ""}, 200, ""},
		{"kubelet wins", "/", []string{"User-Agent", "kube-probe/1.34", "K-Network-Probe", "nonsense"}, 200, ""},
		{"activator", "/", []string{"K-Network-Probe", "activator"}, 200, "activator"},
		{"autoscaler", "//healthz", []string{"K-Network-Probe", "activator", "User-Agent", "Knative-Autoscaling-Probe"}, 200, "activator"},
		{"of a revision that is known or not", "/", []string{"K-Network-Probe", "activator", "Knative-Serving-Namespace", "n", "Knative-Serving-Revision", "r"}, 200, "activator"},
		{"ingress", "/", []string{"K-Network-Probe", "probe", "K-Network-Hash", "abc"}, 200, ""},
		{"ingress without hash", "/", []string{"K-Network-Probe", "probe"}, 400, "a probe request must contain a non-empty \"K-Network-Hash\" header\n"},
		{"for the queue-proxy", "/healthz", []string{"K-Network-Probe", "queue", "User-Agent", "Knative-Activator-Probe"}, 400, fmt.Sprintf(badValue, "queue")},
		{"other", "/", []string{"K-Network-Probe", "x"}, 400, fmt.Sprintf(badValue, "x")},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := f.get(c.path, c.header...)
			if a.err != nil || a.status != c.status || a.body != c.body {
				t.Errorf("got %v, want %d %q", a, c.status, c.body)
			}
			if status := a.header.Get("Proxy-Status"); (a.status >= 400) != strings.HasPrefix(status, "sluice-activator; error=http_request_error") {
				t.Errorf("Proxy-Status %q", status)
			}
			if want := ""; c.name == "ingress" {
				want = "abc"
				if got := a.header.Get("K-Network-Hash"); got != want {
					t.Errorf("hash %q", got)
				}
			}
		})
	}
}

// An empty K-Network-Probe is none, as for Knative's activator.
func TestAnEmptyProbeIsARequest(t *testing.T) {
	f := newFront(t, activator.Config{})
	if a := f.get("/", "K-Network-Probe", ""); a.status != http.StatusNotFound {
		t.Error(a)
	}
}

// TestProbesAtTheEnd: after the order to end the kubelet is told so, the data path goes on.
func TestProbesAtTheEnd(t *testing.T) {
	f := newFront(t, activator.Config{})
	p := newPod(t, "pod-1", 0, false, nil)
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(p))
	f.FailProbes()
	if a := f.get("/", "User-Agent", "kube-probe/1.34"); a.status != 500 || a.body != "shutting down\n" {
		t.Error(a)
	}
	if a := f.get("/", "K-Network-Probe", "activator"); !a.ok() {
		t.Error(a)
	}
	if a := f.get("/"); !a.ok() {
		t.Error(a)
	}
}

// slowSource has told everything when its flag is set.
type slowSource struct{ synced chan struct{} }

func (s *slowSource) Run(ctx context.Context, _ activator.Sink) error { <-ctx.Done(); return nil }
func (s *slowSource) Synced() <-chan struct{}                         { return s.synced }

func TestReadyWhenSynced(t *testing.T) {
	a, err := activator.New(activator.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ask := func(header ...string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = helloHost
		r.RequestURI = "/"
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const notYet = "revisions and pods have not been read yet\n"
	if code, body := ask("User-Agent", "kube-probe/1"); code != 500 || body != notYet {
		t.Errorf("before Run: %d %q", code, body)
	}
	src := &slowSource{make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- a.Run(ctx, src) }()
	if code, body := ask("User-Agent", "kube-probe/1"); code != 500 || body != notYet {
		t.Errorf("before the source has synced: %d %q", code, body)
	}
	early := make(chan int)
	go func() { code, _ := ask(); early <- code }()
	select {
	case code := <-early:
		t.Errorf("a request before the source has synced: %d", code)
	case <-time.After(20 * time.Millisecond):
	}
	close(src.synced)
	if code := <-early; code != 404 {
		t.Errorf("a request that came before the source had synced, for a revision that isn't there: %d", code)
	}
	if err := a.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if code, body := ask("User-Agent", "kube-probe/1"); code != 200 || body != "" {
		t.Errorf("when it has: %d %q", code, body)
	}
	if code, _ := ask(); code != 404 {
		t.Errorf("unknown revision: %d", code)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := a.Run(t.Context(), nil); err == nil {
		t.Error("a second Run is accepted")
	}
}

type failingSource struct{}

var errSource = errors.New("no cluster")

func (failingSource) Run(context.Context, activator.Sink) error { return errSource }

func TestSourceFails(t *testing.T) {
	a, err := activator.New(activator.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Run(t.Context(), failingSource{}); !errors.Is(err, errSource) {
		t.Errorf("got %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	_, err := activator.New(activator.Config{ProbeTimeout: -1, MaxIdleConns: -1}, nil)
	if err == nil || !strings.Contains(err.Error(), "ProbeTimeout") || !strings.Contains(err.Error(), "MaxIdleConns ") && !strings.Contains(err.Error(), "MaxIdleConns is") {
		t.Errorf("got %v", err)
	}
}

// TestDrain: while it drains, answers ask to go elsewhere, and Drain waits for what is in progress, upgraded
// connections too.
func TestDrain(t *testing.T) {
	f := newFront(t, activator.Config{})
	p := newPod(t, "pod-1", 0, false, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(c, rw)
	})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(p))
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", helloHost)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	drained := make(chan error, 1)
	go func() { drained <- f.Drain(t.Context()) }()
	await(t, "Connection: close", func() bool {
		req, _ := http.NewRequest(http.MethodGet, f.url, nil)
		req.Host = helloHost
		resp, err := f.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.Close
	})
	fmt.Fprint(c, "ping\n")
	if line, err := r.ReadString('\n'); line != "ping\n" {
		t.Fatal(line, err)
	}
	if len(drained) > 0 {
		t.Fatal("drained though a connection is in use")
	}
	c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}
