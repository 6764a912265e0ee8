package load

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

func serve(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- origin.Serve(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// answers answers 200 and body to all requests.
func answers(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, body)
	}
}

func refuses(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "full", http.StatusServiceUnavailable)
}

func wants(t *testing.T, what string, err error, text string) {
	t.Helper()
	if text == "" && err == nil {
		return
	}
	if err == nil || text == "" || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v, want %q", what, err, text)
	}
}

func TestCheck(t *testing.T) {
	app, wrong, full := serve(t, origin.New()), serve(t, answers("Hello")), serve(t, http.HandlerFunc(refuses))
	for _, c := range []struct {
		addr, path string
		protocol   Protocol
		want       string
	}{
		{app, origin.Small, HTTP1, ""},
		{app, origin.Small, HTTP2, ""},
		{app, origin.Unary, GRPC, ""},
		{wrong, origin.Small, HTTP1, `answered "Hello"`},
		{full, origin.Small, HTTP2, "503 Service Unavailable: full"},
		{full, origin.Unary, GRPC, "503"},
		{serve(t, answers(string(message))), origin.Unary, GRPC, `gRPC status ""`},
	} {
		wants(t, string(c.protocol), Check(t.Context(), Target{Addr: c.addr, Path: c.path, Protocol: c.protocol, Header: []string{"X-One: 1"}}), c.want)
	}
}

func TestWrk(t *testing.T) {
	installed(t, "wrk")
	var fields atomic.Value
	app := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fields.Store(r.Host + " " + r.Header.Get("X-One"))
		answers(origin.Hello)(w, r)
	}))
	r, err := Wrk(t.Context(), Run{Dir: t.TempDir(), Target: Target{Addr: app, Path: "/", Header: []string{"X-One: 1"}}, Connections: 2, Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests < 1 || r.Elapsed < time.Second/2 || r.P50 <= 0 || r.P99 != 0 && r.P99 < r.P50 || r.P999 != 0 && r.P999 < r.P99 {
		t.Errorf("%+v", r)
	}
	if got := fields.Load(); got != Host+" 1" {
		t.Errorf("the app saw %q", got)
	}
	_, err = Wrk(t.Context(), Run{Dir: t.TempDir(), Target: Target{Addr: serve(t, http.HandlerFunc(refuses)), Path: "/"}, Connections: 2, Duration: time.Second})
	wants(t, "503", err, "were errors")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Wrk(ctx, Run{Dir: t.TempDir(), Target: Target{Addr: app, Path: "/"}, Connections: 2, Duration: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestH2load(t *testing.T) {
	installed(t, "h2load")
	app, dir := serve(t, origin.New()), t.TempDir()
	for range 2 { // the second run finds the first one's files
		for _, target := range []Target{{Addr: app, Path: origin.Small, Protocol: HTTP2}, {Addr: app, Path: origin.Unary, Protocol: GRPC}} {
			r, err := H2load(t.Context(), Run{Dir: dir, Target: target, Connections: 2, Streams: 2, Duration: 2 * time.Second})
			if err != nil || r.Requests < 1 || r.P50 <= 0 || r.P99 != 0 && r.P99 < r.P50 || r.P999 != 0 && r.P999 < r.P99 {
				t.Errorf("%s: %+v, %v", target.Protocol, r, err)
			}
		}
	}
	_, err := H2load(t.Context(), Run{Dir: dir, Target: Target{Addr: serve(t, http.HandlerFunc(refuses)), Path: "/", Protocol: HTTP2}, Connections: 2, Streams: 2, Duration: 2 * time.Second})
	wants(t, "503", err, "5xx")
	_, err = H2load(t.Context(), Run{Dir: dir, Target: Target{Addr: serve(t, answers("")), Path: origin.Unary, Protocol: GRPC}, Connections: 2, Streams: 2, Duration: 2 * time.Second})
	wants(t, "no message", err, "without a body")
}

func TestTransfer(t *testing.T) {
	const size = 300_000
	app := serve(t, origin.New())
	for _, up := range []bool{false, true} {
		for _, protocol := range []Protocol{HTTP1, HTTP2} {
			r, err := Transfer(t.Context(), Transfers{Addr: app, Protocol: protocol, Size: size, Up: up, Connections: 2})
			if err != nil || r.Requests != 2 || r.Bytes != 2*size || r.Elapsed <= 0 || r.P50 <= 0 {
				t.Errorf("%s, up %v: %+v, %v", protocol, up, r, err)
			}
		}
	}
	short := serve(t, answers("short"))
	for _, up := range []bool{false, true} {
		_, err := Transfer(t.Context(), Transfers{Addr: short, Protocol: HTTP1, Size: size, Up: up, Connections: 2})
		wants(t, "short", err, "200 OK with 5 bytes")
	}
}

func TestCrowd(t *testing.T) {
	const n = 100
	app := serve(t, origin.New())
	c, err := Gather(t.Context(), Target{Addr: app, Path: origin.Hold, Header: []string{"X-One: 1"}}, n)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), Target{Addr: app, Path: origin.Release, Protocol: HTTP1}); err != nil {
		t.Fatal(err)
	}
	if err := c.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Exchange(t.Context()); err != nil { // on the same connections
		t.Fatal(err)
	}
}

func TestCrowdTellsWhatFailed(t *testing.T) {
	c, err := Gather(t.Context(), Target{Addr: serve(t, http.HandlerFunc(refuses)), Path: "/"}, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wants(t, "refused", c.Exchange(t.Context()), "of 10: 503 Service Unavailable: full")
	_, err = Gather(t.Context(), Target{Addr: "127.0.0.1:1", Path: "/"}, 10)
	wants(t, "no server", err, "refused")
}

// The end of the context, as with Ctrl-C, ends the wait for answers that don't come.
func TestCrowdIsCut(t *testing.T) {
	c, err := Gather(t.Context(), Target{Addr: serve(t, origin.New()), Path: origin.Hold}, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Exchange(ctx) }()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Receive still waits")
	}
}

func installed(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(program + " isn't installed")
	}
}
