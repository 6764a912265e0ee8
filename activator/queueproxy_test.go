package activator_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/queueproxytest"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// sidecar is a real queue-proxy in front of an app that need not listen yet.
type sidecar struct {
	id, addr, app   string
	inFlight, most  atomic.Int64
	listen          func()
	block           <-chan struct{} // holds the app's answers until it is closed; nil: nothing does
	firstListenedAt time.Time
}

func newSidecar(t *testing.T, id string, limit int, work time.Duration, edit ...func(*queueproxy.Config)) *sidecar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.77:0") // where no other test finds a free port before the app listens
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &sidecar{id: id, app: l.Addr().String()}
	_ = l.Close()
	c := queueproxy.Config{
		Identity:             queueproxy.Identity{Namespace: "default", Revision: "hello-00001", Pod: id},
		UserAddr:             s.app,
		ContainerConcurrency: limit,
		Probes:               []queueproxy.Probe{{Kind: queueproxy.ProbeTCP, Addr: s.app, Aggressive: true}},
	}
	for _, e := range edit {
		e(&c)
	}
	s.addr = queueproxytest.Run(t, c).Serve
	server := &http.Server{Protocols: protocols(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.inFlight.Add(1)
		for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
		}
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(work)
		if s.block != nil {
			<-s.block
		}
		s.inFlight.Add(-1)
		w.Header().Set("Saw-Expect", r.Header.Get("Expect"))
		fmt.Fprintf(w, "%s as %s via %q", id, r.Host, r.Header.Get("K-Proxy-Request"))
	})}
	ended := make(chan struct{})
	s.listen = func() {
		l, err := net.Listen("tcp", s.app)
		if err != nil {
			t.Error(err)
			close(ended)
			return
		}
		s.firstListenedAt = time.Now()
		go func() { defer close(ended); _ = server.Serve(l) }()
	}
	t.Cleanup(func() {
		_ = server.Close()
		if !s.firstListenedAt.IsZero() {
			<-ended
		}
	})
	return s
}

func (s *sidecar) endpoint() activator.Endpoint { return activator.Endpoint{ID: s.id, Addr: s.addr} }

// TestPeers30ThroughARealQueueProxy: a request that waits gets through on the probe that its pod's queue-proxy holds until
// the app listens, and not on the next one.
func TestPeers30ThroughARealQueueProxy(t *testing.T) {
	const runs = 20
	var took []time.Duration
	held := 0
	for i := range runs {
		f := newFront(t, activator.Config{})
		var probed probeCount
		s := newSidecar(t, fmt.Sprint("pod-", i), 1, 0, func(c *queueproxy.Config) { c.WrapPolicy = probed.of })
		f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
		f.UpdateEndpoints(hello, activator.Endpoints{NotReady: []activator.Endpoint{s.endpoint()}})
		got := make(chan answer, 1)
		go func() { got <- f.get("/", "Host", helloHost) }()
		f.awaitWaiting(t, 1)
		await(t, "a probe", func() bool { return probed.n.Load() > 0 })
		before := probed.n.Load()
		s.listen()
		a := <-got
		if want := fmt.Sprintf("pod-%d as %s via \"activator\"", i, helloHost); !a.ok() || a.body != want {
			t.Fatalf("%v, want %s", a, want)
		}
		if probed.n.Load() == before {
			held++
		}
		took = append(took, time.Since(s.firstListenedAt))
	}
	slices.Sort(took)
	t.Logf("from listen() to the answer: median %v, most %v; %d of %d by the probe that was there", took[runs/2], took[runs-1], held, runs)
	if held < runs/2 { // a machine with much else to do is late now and then
		t.Errorf("%d of %d got through on the probe that was there", held, runs)
	}
}

// TestSpilloverBodyIsAskedForAtOnce: the queue-proxy that lets a spillover request in asks for its body itself; an app that
// knows nothing of Expect: 100-continue would have everybody wait.
func TestSpilloverBodyIsAskedForAtOnce(t *testing.T) {
	s := newSidecar(t, "pod-1", 1, 0)
	s.listen()
	taken := newPod(t, "pod-0", 1, false, nil)
	f := newFront(t, activator.Config{PodIP: sharer(taken.addr, s.addr)})
	f.UpdatePeers(hello, []string{"10.0.0.1", "10.0.0.2"})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{taken.endpoint(), s.endpoint()}})
	f.awaitUsable(t, 2)
	release, unblock := blocking()
	defer unblock()
	taken.app = func(http.ResponseWriter, *http.Request) { <-release }
	first := make(chan answer)
	go func() { first <- f.get("/") }()
	await(t, "the own pod to be taken", func() bool { return taken.inFlight.Load() == 1 })
	if a := f.upload(1 << 20); !a.ok() || !strings.HasPrefix(a.body, "pod-1 ") || a.header.Get("Saw-Expect") != "" {
		t.Errorf("%v, the app saw Expect: %q", a, a.header.Get("Saw-Expect"))
	}
	unblock()
	<-first
}

// TestPeers3ThroughRealQueueProxies: two activators share three pods, each more than full; no request fails, no app
// gets more than it may.
func TestPeers3ThroughRealQueueProxies(t *testing.T) {
	const limit = 2
	peers := []string{"10.0.0.1", "10.0.0.2"}
	var pods []*sidecar
	var e activator.Endpoints
	for i := range 3 {
		s := newSidecar(t, fmt.Sprint("pod-", i), limit, time.Millisecond)
		s.listen()
		pods = append(pods, s)
		e.Ready = append(e.Ready, s.endpoint())
	}
	var fronts []*front
	for _, ip := range peers {
		f := newFront(t, activator.Config{PodIP: ip})
		f.UpdatePeers(hello, peers)
		f.UpdateRevision(activator.Revision{ID: hello, Limit: limit})
		f.UpdateEndpoints(hello, e)
		f.awaitUsable(t, 3)
		fronts = append(fronts, f)
	}
	for _, a := range together(48, func(i int) (a answer) {
		f := fronts[min(i%4, 1)] // most of the load on one
		for range 20 {
			if a = f.do([]string{http.MethodGet, http.MethodPost}[i%2], "/", []byte("body")); !a.ok() {
				break
			}
		}
		return a
	}) {
		if !a.ok() {
			t.Fatal(a)
		}
	}
	for _, p := range pods {
		if n := p.most.Load(); n > limit {
			t.Errorf("%s had %d at a time", p.id, n)
		}
	}
}
