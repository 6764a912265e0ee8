package activator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// fakePods answers dials of a prober in a synctest bubble.
type fakePods struct {
	mu     sync.Mutex
	dialed []time.Time
	// answer is a pod's part of a connection; nil refuses it.
	answer func(addr string) func(net.Conn)
}

var errRefused = errors.New("connection refused")

func (f *fakePods) dial(_ context.Context, _, addr string) (net.Conn, error) {
	f.mu.Lock()
	f.dialed = append(f.dialed, time.Now())
	f.mu.Unlock()
	serve := f.answer(addr)
	if serve == nil {
		return nil, errRefused
	}
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		if _, err := http.ReadRequest(bufio.NewReader(theirs)); err == nil {
			serve(theirs)
		}
	}()
	return ours, nil
}

// saying answers like a queue-proxy does, after a time.
func saying(after time.Duration, status int, body string, header ...string) func(net.Conn) {
	return func(c net.Conn) {
		time.Sleep(after)
		resp := http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
			ContentLength: int64(len(body)), Body: io.NopCloser(newReader(body)),
		}
		for i := 0; i+1 < len(header); i += 2 {
			resp.Header.Add(header[i], header[i+1])
		}
		_ = resp.Write(c)
	}
}

func newReader(s string) io.Reader { return &stringReader{s} }

type stringReader struct{ s string }

func (r *stringReader) Read(p []byte) (int, error) {
	if r.s == "" {
		return 0, io.EOF
	}
	n := copy(p, r.s)
	r.s = r.s[n:]
	return n, nil
}

var healthy = saying(0, 200, "queue")

// probing runs a prober with the defaults until the returned function is called.
func probing(f *fakePods) (p *prober, end func()) {
	p = newProber(Config{Dial: f.dial}.withDefaults())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); p.run(ctx) }()
	synctest.Wait()
	return p, func() { cancel(); <-ended }
}

// passing starts a probe and returns where its success will be told.
func passing(p *prober, addr string) (*probe, <-chan bool) {
	c := make(chan bool, 2)
	pr := &probe{addr: addr, found: func(f probeResult) pace {
		if f.status != passed {
			return search
		}
		c <- f.declines
		return done
	}}
	p.start(pr)
	return pr, c
}

// TestPeers30RefusedIsRedialled: whenever a pod begins to listen, it is noticed within a millisecond or 1/64 of the
// time that it took, and never later than ProbeFrequency.
func TestPeers30RefusedIsRedialled(t *testing.T) {
	for _, up := range []time.Duration{0, 3 * time.Millisecond, 60 * time.Millisecond, time.Second, 40 * time.Second} {
		t.Run(up.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				f := &fakePods{answer: func(string) func(net.Conn) {
					if time.Since(begin) < up {
						return nil
					}
					return healthy
				}}
				p, end := probing(f)
				defer end()
				_, passed := passing(p, "pod:1")
				<-passed
				late := time.Since(begin) - up
				if bound := max(time.Millisecond, min(up/pauseShare, 200*time.Millisecond)); late > bound {
					t.Errorf("noticed %v late, want %v at most", late, bound)
				}
				if most := 500 + int(up/(200*time.Millisecond)); len(f.dialed) > most {
					t.Errorf("%d dials, want %d at most", len(f.dialed), most)
				}
			})
		})
	}
}

// TestPeers30HeldProbe: a probe that is held passes at the moment it is answered, on one connection.
func TestPeers30HeldProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakePods{answer: func(string) func(net.Conn) { return saying(250*time.Millisecond, 200, "queue") }}
		p, end := probing(f)
		defer end()
		begin := time.Now()
		_, passed := passing(p, "pod:1")
		<-passed
		if d := time.Since(begin); d != 250*time.Millisecond || len(f.dialed) != 1 {
			t.Errorf("passed after %v and %d dials", d, len(f.dialed))
		}
	})
}

// TestPeers30AsksAgainAtOnce: after a probe that was held in vain comes the next without a pause.
func TestPeers30AsksAgainAtOnce(t *testing.T) {
	for name, held := range map[string]func(net.Conn){
		"until our patience ended": saying(time.Hour, 200, "queue"),
		"until its patience ended": saying(299*time.Millisecond, 503, ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakePods{}
				n := atomic.Int32{}
				f.answer = func(string) func(net.Conn) {
					if n.Add(1) <= 3 {
						return held
					}
					return healthy
				}
				p, end := probing(f)
				defer end()
				begin := time.Now()
				_, passed := passing(p, "pod:1")
				<-passed
				if d := time.Since(begin); d > 3*301*time.Millisecond {
					t.Errorf("passed after %v", d)
				}
				for i := 1; i < len(f.dialed); i++ {
					if gap := f.dialed[i].Sub(f.dialed[i-1]); gap > 301*time.Millisecond {
						t.Errorf("dial %d came %v after the one before", i, gap)
					}
				}
				time.Sleep(time.Hour) // lets the pods end
			})
		})
	}
}

// TestQuickRefusalsAreNotHammered: a pod that says 503 at once, as one that drains does, is asked at the pace of one
// that refuses connections.
func TestQuickRefusalsAreNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakePods{answer: func(string) func(net.Conn) { return saying(0, 503, "shutting down\n") }}
		p, end := probing(f)
		pr, passed := passing(p, "pod:1")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(f.dialed); n < 300 || n > 1000 {
			t.Errorf("%d probes in a minute", n)
		}
		pr.stop()
		synctest.Wait()
		n := len(f.dialed)
		time.Sleep(time.Minute)
		if len(f.dialed) != n {
			t.Error("probed on after stop")
		}
		end()
		if len(passed) > 0 {
			t.Error("passed")
		}
	})
}

func TestWhatPasses(t *testing.T) {
	for _, c := range []struct {
		name     string
		status   int
		body     string
		header   []string
		want     probeStatus
		declines bool
	}{
		{"queue", 200, "queue", nil, passed, false},
		{"no-queue understood", 200, "queue", []string{knative.HeaderFeatures, "no-queue"}, passed, true},
		{"among others", 200, "queue", []string{knative.HeaderFeatures, "a, no-queue ,b"}, passed, true},
		{"in a second field", 200, "queue", []string{knative.HeaderFeatures, "a", knative.HeaderFeatures, "no-queue"}, passed, true},
		{"something alike", 200, "queue", []string{knative.HeaderFeatures, "no-queue-2"}, passed, false},
		{"other body", 200, "activator", nil, noMesh, false},
		{"longer body", 200, "queue\n", nil, noMesh, false},
		{"no body", 200, "", nil, noMesh, false},
		{"other status", 201, "queue", nil, noMesh, false},
		{"unavailable", 503, "queue", nil, maybeMesh, false},
		{"bad gateway", 502, "", nil, maybeMesh, false},
		{"unavailable, says a queue-proxy", 503, "", []string{knative.HeaderFeatures, "no-queue"}, noMesh, false},
		{"not found", 404, "", nil, noMesh, false},
		{"redirect", 302, "queue", []string{"Location", "/"}, noMesh, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProber(Config{Dial: (&fakePods{answer: func(string) func(net.Conn) {
					return saying(0, c.status, c.body, c.header...)
				}}).dial}.withDefaults())
				if got := p.ask(context.Background(), &probe{addr: "pod:1"}); got.status != c.want || got.declines != c.declines {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// TestProbeOnTheWire: the request is the one that Knative's queue-proxy answers.
func TestProbeOnTheWire(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	p := newProber(Config{Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}.withDefaults())
	answered := make(chan probeResult)
	go func() { answered <- p.ask(context.Background(), &probe{addr: "10.0.0.1:8012", revision: rev}) }()
	req, err := http.ReadRequest(bufio.NewReader(theirs))
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != "GET" || req.RequestURI != "/healthz" || req.Host != "10.0.0.1:8012" ||
		req.Header.Get("K-Network-Probe") != "queue" || req.UserAgent() != "Knative-Activator-Probe" || req.Header["K-Passthrough-Lb"] != nil || req.Header.Get("Sluice-Patience") != "300" ||
		req.Header.Get("Knative-Serving-Namespace") != rev.Namespace || req.Header.Get("Knative-Serving-Revision") != rev.Name {
		t.Errorf("got %+v", req)
	}
	fmt.Fprint(theirs, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nqueue\r\n0\r\n\r\n")
	if f := <-answered; f.status != passed {
		t.Error("not passed")
	}
}
