package queueproxy

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

func TestContractDraining(t *testing.T) {
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "probes fail at once, serving goes on, listeners close when it is quiet, what is in flight finishes", Shown: contracttest.By(TestPeers8DrainCutsNothing, TestContractProbes, TestDrainOfBothPorts)},
		{Says: "the quiet period is 30 s and each request restarts it", Shown: contracttest.By(TestDrainIsQuiet)},
		{Says: "probes don't restart it", Test: func(t *testing.T) {
			p := startPod(t, startApp(t, http.HandlerFunc(ok)), func(c *Config) {
				c.DrainQuiet, c.DrainIdle = 300*time.Millisecond, time.Minute
			})
			p.stop()
			eventually(t, "it drains", p.policy.drain.active.Load)
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
				resp, err := client.Do(p.request("/", "User-Agent", autoscaler, knative.HeaderProbe, "queue"))
				if err != nil {
					break // it is gone
				}
				if resp.Body.Close(); time.Since(begin) > 10*time.Second {
					t.Fatal("probes keep it alive")
				}
			}
			if err := <-p.ended; err != nil {
				t.Error(err)
			}
		}},
		{Says: "it ends early once idle and a prober has been answered", Shown: contracttest.By(TestPeers8IdlePodGoesEarly, TestDrainIsQuiet)},
		{Says: "Connection: close on HTTP/1.1", Shown: contracttest.By(TestPeers8DrainCutsNothing)},
		{Says: "GOAWAY for requests on HTTP/2 while it drains", Test: testGoAway},
		{Says: "upgraded connections and streams have until the revision timeout, and never longer", Shown: contracttest.By(TestPeers8DrainCutsNothing, TestDrainPastTheGracePeriod, TestDrainEndsWithTheGracePeriod)},
		{Says: "the grace period is timeoutSeconds, and a drain ends before", Test: func(t *testing.T) {
			for _, row := range []struct {
				config Config
				want   time.Duration
			}{
				{Config{}, 298500 * time.Millisecond},
				{Config{GracePeriod: 20 * time.Second, Timeouts: proxy.Timeouts{Total: 600 * time.Second}}, 18500 * time.Millisecond},
				{Config{Timeouts: proxy.Timeouts{Total: 5 * time.Second}}, 4500 * time.Millisecond},
			} {
				c := row.config
				c.UserAddr = deadAddr(t)
				p, err := New(c, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := p.policy.drain.limit; got != row.want {
					t.Errorf("%v: %v, want %v", row.config.Timeouts, got, row.want)
				}
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
		}},
		{Says: "/wait-for-drain starts the same, blocks, then 200 empty; undone unless SIGTERM follows", Shown: contracttest.By(TestWaitForDrain, TestDrainIsUndone, TestDrainIsTakenOver)},
		{Says: "no request is lost under load", Shown: contracttest.By(TestPeers9NoRequestIsLostByADrain)},
	})
}

// testGoAway speaks HTTP/2 by frames, since net/http's client hides them.
func testGoAway(t *testing.T) {
	g := newGate()
	p := startPod(t, startApp(t, g), func(c *Config) { c.DrainQuiet = 10 * time.Second })
	c, err := net.Dial("tcp", p.Addrs().Serve)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	ask := func(stream uint32) {
		t.Helper()
		var block writerBytes
		e := hpack.NewEncoder(&block)
		for _, h := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}} {
			_ = e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
		}
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: true, EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
		<-g.arrived
	}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	ask(1) // in flight as the drain begins
	p.stop()
	eventually(t, "it drains", p.policy.drain.active.Load)
	ask(3)
	close(g.leave)
	var ended []uint32
	var goAway bool
	for len(ended) < 2 || !goAway {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("%v; GOAWAY %v, ended %v", err, goAway, ended)
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			goAway = true
		case *http2.RSTStreamFrame:
			t.Errorf("stream %d is reset: %v", frame.StreamID, frame.ErrCode)
		default:
			if frame.Header().Flags.Has(http2.FlagDataEndStream) && (frame.Header().Type == http2.FrameData || frame.Header().Type == http2.FrameHeaders) {
				ended = append(ended, frame.Header().StreamID)
			}
		}
	}
	p.policy.drain.mu.Lock()
	p.policy.drain.quiet = time.Millisecond // so that the pod ends now
	p.policy.drain.notifyLocked()
	p.policy.drain.mu.Unlock()
}

// writerBytes is a bytes.Buffer that is its bytes.
type writerBytes []byte

func (w *writerBytes) Write(b []byte) (int, error) {
	*w = append(*w, b...)
	return len(b), nil
}
