package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/sluice-proxy/sluice/metrics/statpb"
	"google.golang.org/protobuf/proto"
)

// TestProcess checks, on both ports and in both protocols, that a request waits for a pod which the file names only later.
// After SIGTERM the kubelet's probe fails, requests are served, and those in progress end before the process does.
func TestProcess(t *testing.T) {
	t.Setenv("CLUSTER_DOMAIN", "cluster.local")
	p := start(t, "-drain", "300ms", "-metrics-port", "0")
	ports := p.addresses("requests")
	h1, h2 := client(t, false), client(t, true)
	await(t, "readiness", func() bool { s, _, _ := get(h1, ports[0], "User-Agent", "kube-probe/1"); return s == 200 })

	type result struct {
		status int
		body   string
		err    error
	}
	held := make(chan result, 1)
	go func() { s, b, err := get(h1, ports[0]); held <- result{s, b, err} }()
	time.Sleep(50 * time.Millisecond)
	block := make(chan struct{})
	addr, asked := app(t, block)
	p.configure(t, podAt(addr))
	if r := <-held; r.status != 200 || r.body != "HTTP/1.1 app saw HTTP/1.1" {
		t.Fatal(r)
	}
	for _, port := range ports {
		for c, want := range map[*http.Client]string{h1: "HTTP/1.1 app saw HTTP/1.1", h2: "HTTP/2.0 app saw HTTP/2.0"} {
			if s, b, err := get(c, port); s != 200 || b != want {
				t.Errorf("%s: %d %q %v", port, s, b, err)
			}
		}
	}
	if s, b, err := get(h1, p.addresses("metrics")[0]); s != 404 {
		t.Errorf("metrics at /: %d %q %v", s, b, err)
	}
	resp, err := h1.Get("http://" + p.addresses("metrics")[0] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); !strings.Contains(string(b), `http_server_request_duration_seconds_count{http_response_status_code="200",k8s_namespace_name="default"`) {
		t.Errorf("metrics:\n%s", b)
	}

	before := asked.Load()
	go func() { s, b, err := get(h1, ports[0], "Block", "yes"); held <- result{s, b, err} }()
	await(t, "the request to be in progress", func() bool { return asked.Load() > before })
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "the kubelet's probe to fail", func() bool { s, _, _ := get(h1, ports[0], "User-Agent", "kube-probe/1"); return s == 500 })
	if s, b, err := get(h1, ports[1]); s != 200 {
		t.Errorf("while it drains: %d %q %v", s, b, err)
	}
	await(t, "the port to be closed", func() bool { _, _, err := get(h1, ports[1]); return err != nil })
	close(block)
	if r := <-held; r.status != 200 {
		t.Errorf("the request in progress: %+v", r)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestSecondSignal checks that a second signal ends the time of draining.
func TestSecondSignal(t *testing.T) {
	p := start(t)
	h1 := client(t, false)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "the effect of the first signal", func() bool {
		s, _, _ := get(h1, p.addresses("requests")[0], "User-Agent", "kube-probe/1")
		return s == 500
	})
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 || time.Since(begin) > 10*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(begin))
	}
}

// TestAutoscaler checks that the first request of a revision without pods is reported over the websocket at once.
func TestAutoscaler(t *testing.T) {
	got := make(chan *statpb.WireStatMessages, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			_, data, err := c.Read(r.Context())
			if err != nil {
				return
			}
			m := new(statpb.WireStatMessages)
			if err := proto.Unmarshal(data, m); err != nil {
				t.Error(err)
			}
			got <- m
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("POD_NAME", "activator-7")
	p := start(t, "-autoscaler", "ws"+strings.TrimPrefix(s.URL, "http"))
	ended := make(chan struct{})
	go func() { defer close(ended); _, _, _ = get(client(t, false), p.addresses("requests")[0]) }()
	select {
	case m := <-got:
		if r := m.Messages[0]; r.Namespace != "default" || r.Name != "hello" || r.Stat.PodName != "activator-7" || r.Stat.RequestCount != 1 {
			t.Errorf("the autoscaler got %v", m)
		}
	case <-time.After(time.Minute):
		t.Fatal("the autoscaler got nothing")
	}
	_ = p.cmd.Process.Kill()
	<-ended
	p.end(t)
}

// TestPeers18AutoscalerAway checks that without an autoscaler the activator is ready and serves revisions that have pods.
func TestPeers18AutoscalerAway(t *testing.T) {
	p := start(t, "-autoscaler", "ws://127.0.0.1:1")
	h1 := client(t, false)
	addr, _ := app(t, nil)
	p.configure(t, podAt(addr))
	await(t, "readiness", func() bool {
		s, _, _ := get(h1, p.addresses("requests")[0], "User-Agent", "kube-probe/1")
		return s == 200
	})
	if s, b, err := get(h1, p.addresses("requests")[0]); s != 200 {
		t.Errorf("%d %q %v", s, b, err)
	}
}
