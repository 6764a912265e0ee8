package activator_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
)

// loopback has all of a test's clients be as if they came through an ingress.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// TestPeers1QueueIsBounded: beyond the bound there is a fast 503 with a hint when to come back.
func TestPeers1QueueIsBounded(t *testing.T) {
	f := newFront(t, activator.Config{MaxWaiting: 50, Proxies: loopback})
	f.UpdateRevision(activator.Revision{ID: hello, MaxWaiting: 20})
	done := make(chan []answer)
	go func() { done <- together(20, func(int) answer { return f.get("/") }) }()
	f.awaitWaiting(t, 20)
	a := f.get("/")
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != 503 || a.body != "pending request queue full\nthe revision has no pod\n" || err != nil || seconds < 1 ||
		!strings.HasPrefix(a.header.Get("Proxy-Status"), "sluice-activator; error=connection_limit_reached") {
		t.Errorf("%v %v", a, a.header)
	}

	// Over all revisions it is bounded too.
	other := hello
	other.Name = "other-00001"
	f.UpdateRevision(activator.Revision{ID: other})
	over := make(chan []answer)
	go func() {
		over <- together(20, func(int) answer { return f.get("/", "Host", "other-00001.default.svc.cluster.local") })
	}()
	await(t, "the total to be full", func() bool { s, _ := f.Stats(other); return s.Waiting == 15 })
	p := newPod(t, "pod-1", 0, false, nil)
	f.UpdateEndpoints(hello, endpointsOf(p))
	for _, a := range <-done {
		if !a.ok() {
			t.Fatal(a)
		}
	}
	f.UpdateEndpoints(other, endpointsOf(p))
	n := map[int]int{}
	for _, a := range <-over {
		n[a.status]++
	}
	if n[200] < 15 || n[200]+n[503] != 20 {
		t.Errorf("answers over the total: %v", n)
	}
}

// TestPeers1VanishedClient: a client that goes while it waits leaves the queue at once, with an unread body and
// without one.
func TestPeers1VanishedClient(t *testing.T) {
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello})
	for name, request := range map[string]string{
		"without a body":     "GET / HTTP/1.1\r\nHost: " + helloHost + "\r\n\r\n",
		"with a body":        "POST / HTTP/1.1\r\nHost: " + helloHost + "\r\nContent-Length: 5\r\n\r\nhello",
		"with a part of one": "POST / HTTP/1.1\r\nHost: " + helloHost + "\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000),
	} {
		t.Run(name, func(t *testing.T) {
			var clients []net.Conn
			for range 20 {
				c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Write([]byte(request)); err != nil {
					t.Fatal(err)
				}
				clients = append(clients, c)
			}
			f.awaitWaiting(t, 20)
			begin := time.Now()
			for _, c := range clients {
				c.Close()
			}
			f.awaitWaiting(t, 0)
			if d := time.Since(begin); d > 2*time.Second {
				t.Errorf("noticed after %v", d)
			}
		})
	}
}

// TestPeers2FlappingPodKeepsItsAccount: a pod that turns unready and back under load never gets more than its limit.
func TestPeers2FlappingPodKeepsItsAccount(t *testing.T) {
	t.Parallel()
	f := newFront(t, activator.Config{})
	var now, most atomic.Int64
	p := newPod(t, "pod-1", 0, false, func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(time.Millisecond)
		now.Add(-1)
	})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	f.UpdateEndpoints(hello, endpointsOf(p))
	done := make(chan []answer)
	go func() {
		done <- together(8, func(int) (a answer) {
			for range 50 {
				if a = f.get("/"); !a.ok() {
					break
				}
			}
			return a
		})
	}()
	flaps := 0
	for answers := []answer(nil); answers == nil; {
		select {
		case answers = <-done:
			for _, a := range answers {
				if !a.ok() {
					t.Error(a)
				}
			}
		default:
			f.UpdateEndpoints(hello, [...]activator.Endpoints{
				{NotReady: []activator.Endpoint{p.endpoint()}}, {}, endpointsOf(p),
			}[flaps%3])
			flaps++
			time.Sleep(time.Millisecond)
			if len(done) == 0 && flaps%3 == 0 {
				f.awaitUsable(t, 1)
			}
		}
	}
	if most.Load() > 1 {
		t.Errorf("%d at a time at limit 1, after %d flaps", most.Load(), flaps)
	}
}

// TestPeers14StrictFIFO: requests are served in the order in which they came.
func TestPeers14StrictFIFO(t *testing.T) {
	f := newFront(t, activator.Config{})
	var mu sync.Mutex
	var order []string
	p := newPod(t, "pod-1", 0, false, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		order = append(order, r.URL.Path)
		mu.Unlock()
	})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	var want []string
	var all sync.WaitGroup
	for i := range 50 {
		path := fmt.Sprint("/", i)
		want = append(want, path)
		all.Go(func() {
			if a := f.get(path); !a.ok() {
				t.Error(a)
			}
		})
		f.awaitWaiting(t, i+1)
	}
	f.UpdateEndpoints(hello, endpointsOf(p))
	all.Wait()
	if got := strings.Join(order, " "); got != strings.Join(want, " ") {
		t.Errorf("served in the order %s", got)
	}
}

// TestPeers26ScaleToZeroRacesRequests: pods, slots and waiters change as one.
func TestPeers26ScaleToZeroRacesRequests(t *testing.T) {
	f := newFront(t, activator.Config{})
	p := newPod(t, "pod-1", 2, false, nil)
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 2})
	stop := make(chan struct{})
	var flips sync.WaitGroup
	flips.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				f.UpdateEndpoints(hello, endpointsOf(p))
				return
			default:
				f.UpdateEndpoints(hello, []activator.Endpoints{{}, endpointsOf(p)}[i%2])
				time.Sleep(time.Duration(i%4) * 500 * time.Microsecond)
			}
		}
	})
	answers := together(16, func(int) (a answer) {
		for range 25 {
			if a = f.get("/"); !a.ok() {
				break
			}
		}
		return a
	})
	close(stop)
	flips.Wait()
	for _, a := range answers {
		if !a.ok() {
			t.Error(a)
		}
	}
	if p.most.Load() > 2 {
		t.Errorf("%d at a time", p.most.Load())
	}
}

// TestPeers30FirstByte: from the moment a pod is ready, the waiting request is answered within milliseconds, whether
// the pod held the probe or had not listened yet.
func TestPeers30FirstByte(t *testing.T) {
	const runs, bound = 10, 20 * time.Millisecond
	for _, held := range []bool{true, false} {
		fast := 0
		for range runs {
			f := newFront(t, activator.Config{})
			f.UpdateRevision(activator.Revision{ID: hello})
			p := newPod(t, "pod-1", 0, held, nil)
			if !held {
				p.kill()
			}
			f.UpdateEndpoints(hello, activator.Endpoints{NotReady: []activator.Endpoint{p.endpoint()}})
			got := make(chan answer, 1)
			go func() { got <- f.get("/") }()
			f.awaitWaiting(t, 1)
			time.Sleep(70 * time.Millisecond)
			begin := time.Now()
			if held {
				close(p.ready)
			} else {
				p.listen(t, p.addr)
			}
			if a := <-got; !a.ok() {
				t.Fatal(a)
			}
			if d := time.Since(begin); d < bound {
				fast++
			}
		}
		// Other work on the machine may delay some; polling at 200 ms would hit the bound once in ten.
		if fast < runs/2 {
			t.Errorf("held %v: only %d of %d answered within %v of readiness", held, fast, runs, bound)
		}
	}
}

// TestPeers20GRPCRefusal: a gRPC call that finds the queue full gets a status in trailers alone, with HTTP 200.
func TestPeers20GRPCRefusal(t *testing.T) {
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello, MaxWaiting: -1})
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /s/m HTTP/1.1\r\nHost: %s\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n", helloHost)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Grpc-Status") != "8" || resp.Header.Get("Grpc-Message") != "pending request queue full: the revision has no pod" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}
