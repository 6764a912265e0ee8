package queueproxy

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
)

func proberFor(t *testing.T, p Probe, detectHTTP2 bool) *prober {
	pr := newProber(p, (&net.Dialer{}).DialContext, detectHTTP2)
	t.Cleanup(pr.close)
	return pr
}

func TestHTTPProbe(t *testing.T) {
	var seen atomic.Pointer[http.Request]
	var status atomic.Int32
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
	})
	p := proberFor(t, Probe{
		Kind: ProbeHTTP, Addr: startApp(t, app), Target: "/ready?x=1",
		Header:  http.Header{"X-A": {"1"}, "Host": {"app.example"}, "User-Agent": {"other"}},
		Timeout: 10 * time.Second, // of a machine that does other things too
	}, false)
	for _, test := range []struct {
		status int
		ready  bool
	}{{200, true}, {204, true}, {301, true}, {399, true}, {400, false}, {404, false}, {500, false}, {503, false}} {
		status.Store(int32(test.status))
		if err := p.try(t.Context()); (err == nil) != test.ready {
			t.Errorf("status %d: %v", test.status, err)
		}
	}
	r := seen.Load()
	if r.RequestURI != "/ready?x=1" || r.Host != "app.example" || r.Header.Get("X-A") != "1" || r.ProtoMajor != 1 {
		t.Errorf("the app got %s %s %v", r.RequestURI, r.Host, r.Header)
	}
	if ua := r.UserAgent(); !strings.HasPrefix(ua, "kube-probe/") {
		t.Errorf("User-Agent %q", ua)
	}
}

func TestHTTPSProbe(t *testing.T) {
	app := httptest.NewTLSServer(http.HandlerFunc(ok)) // its certificate can't be verified
	defer app.Close()
	p := proberFor(t, Probe{Kind: ProbeHTTP, TLS: true, Addr: app.Listener.Addr().String()}, true)
	if err := p.try(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestProbeTimeout(t *testing.T) {
	g := newGate()
	p := proberFor(t, Probe{Kind: ProbeHTTP, Addr: startApp(t, g), Timeout: 20 * time.Millisecond}, false)
	if err := p.try(t.Context()); err == nil {
		t.Error("an app that doesn't answer is ready")
	}
}

func TestHTTP2AutoDetection(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*http.Protocols)
		want int32
	}{
		{"both", func(p *http.Protocols) { p.SetHTTP1(true); p.SetUnencryptedHTTP2(true) }, 2},
		{"HTTP/2 only", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, 2},
		{"HTTP/1.1 only", func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := httptest.NewUnstartedServer(http.HandlerFunc(ok))
			app.Config.Protocols = new(http.Protocols)
			test.set(app.Config.Protocols)
			app.Start()
			defer app.Close()
			p := proberFor(t, Probe{Kind: ProbeHTTP, Addr: app.Listener.Addr().String()}, true)
			for range 2 {
				if err := p.try(t.Context()); err != nil {
					t.Fatal(err)
				}
				if v := p.speaks.Load(); v != test.want {
					t.Errorf("it speaks HTTP/%d, want %d", v, test.want)
				}
			}
		})
	}
}

// The app is held to be of HTTP/1.1 only once it has answered in it.
func TestHTTP2AutoDetectionOfAnAppThatIsDown(t *testing.T) {
	p := proberFor(t, Probe{Kind: ProbeHTTP, Addr: deadAddr(t)}, true)
	if err := p.try(t.Context()); err == nil || p.speaks.Load() != 0 {
		t.Errorf("%v, speaks %d", err, p.speaks.Load())
	}
}

func TestTCPProbe(t *testing.T) {
	up := proberFor(t, Probe{Kind: ProbeTCP, Addr: startApp(t, http.HandlerFunc(ok))}, false)
	if err := up.try(t.Context()); err != nil {
		t.Error(err)
	}
	down := proberFor(t, Probe{Kind: ProbeTCP, Addr: deadAddr(t)}, false)
	if err := down.try(t.Context()); err == nil {
		t.Error("nothing listens and it is ready")
	}
}

func TestGRPCProbeOfARealServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h, s := health.NewServer(), grpc.NewServer()
	healthpb.RegisterHealthServer(s, h)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	defer func() { s.Stop(); <-done }()

	h.SetServingStatus("up", healthpb.HealthCheckResponse_SERVING)
	h.SetServingStatus("down", healthpb.HealthCheckResponse_NOT_SERVING)
	for service, ready := range map[string]bool{"": true, "up": true, "down": false, "unknown": false} {
		p := proberFor(t, Probe{Kind: ProbeGRPC, Addr: ln.Addr().String(), Service: service}, false)
		if err := p.try(t.Context()); (err == nil) != ready {
			t.Errorf("service %q: %v", service, err)
		}
	}
	h.Shutdown()
	p := proberFor(t, Probe{Kind: ProbeGRPC, Addr: ln.Addr().String()}, false)
	if err := p.try(t.Context()); err == nil {
		t.Error("a server that shuts down is ready")
	}
}

func TestGRPCProbeOfSomethingElse(t *testing.T) {
	p := proberFor(t, Probe{Kind: ProbeGRPC, Addr: startApp(t, http.HandlerFunc(ok))}, false)
	if err := p.try(t.Context()); err == nil {
		t.Error("an app without gRPC is ready")
	}
}

func FuzzHealthStatus(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1})
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 4, 0x12, 0, 8, 1})
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		status, err := healthStatus(b)
		if err != nil && status == statusServing && len(b) < 7 {
			t.Error("serving without room for it")
		}
		var reply healthpb.HealthCheckResponse
		if err == nil && len(b) >= 5 {
			if want := proto.Unmarshal(b[5:], &reply); want == nil && int32(status) != int32(reply.Status) {
				t.Errorf("%d, the library says %d", status, reply.Status)
			}
		}
	})
}

func TestNeverReady(t *testing.T) {
	r := newReadiness(Config{UserAddr: startApp(t, http.HandlerFunc(ok)), Probes: []Probe{{}}})
	defer r.close()
	if ready, err := r.probe(t.Context(), false, readinessPatience); ready || err != nil {
		t.Error("{} is ready", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if ready, err := r.probe(ctx, true, readinessPatience); ready || err == nil {
		t.Error("{} is ready when one waits", err)
	}
}

// The error of a probe has the request and the failure without the client's port, which would make each error different.
func TestTrySaysWhatCameOfIt(t *testing.T) {
	t.Parallel()
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/close":
			panic(http.ErrAbortHandler)
		case "/hang":
			<-r.Context().Done()
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	dead := deadAddr(t)
	for _, c := range []struct {
		probe Probe
		want  string
	}{
		{Probe{Kind: ProbeHTTP, Addr: app, Target: "/broken?password=x"}, "GET /broken on " + app + ": status 500"},
		{Probe{Kind: ProbeHTTP, Addr: app, Target: "/close"}, "GET /close on " + app + ": the app closed the connection"},
		{Probe{Kind: ProbeHTTP, Addr: app, Target: "/hang", Timeout: 50 * time.Millisecond}, "GET /hang on " + app + " is not answered within 50ms"},
		{Probe{Kind: ProbeHTTP, Addr: dead, Target: "/", Timeout: 10 * time.Second}, "GET / on " + dead + ": nothing listens there"},
		{Probe{Kind: ProbeTCP, Addr: dead, Timeout: 10 * time.Second}, "a connection to " + dead + ": nothing listens there"},
	} {
		c.probe.Timeout = cmp.Or(c.probe.Timeout, 20*time.Second)
		if err := c.probe.Try(t.Context()); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
