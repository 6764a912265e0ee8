package activator_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// refusals are the clients whose requests a pod may refuse: by status, and where the status is always 200.
var refusals = map[string][]string{"HTTP": nil, "gRPC": {"Content-Type", "application/grpc"}}

// probeCount counts the probes that a queue-proxy gets.
type probeCount struct {
	proxy.Policy
	n atomic.Int64
}

func (c *probeCount) of(p proxy.Policy) proxy.Policy {
	c.Policy = p
	return c
}

func (c *probeCount) Begin(req *proxy.Request) proxy.Exchange {
	if queueproxy.IsProbe(req.Header) {
		c.n.Add(1)
	}
	return c.Policy.Begin(req)
}

// TestPeers33FullPodIsNotDead: a request that finds the queue of a real queue-proxy full, whatever status that has, is
// answered by another pod, and the full one stays in use.
func TestPeers33FullPodIsNotDead(t *testing.T) {
	for name, header := range refusals {
		for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				t.Parallel()
				var probed probeCount
				full := newSidecar(t, "pod-0", 1, 300*time.Millisecond, func(c *queueproxy.Config) {
					c.QueueDepth, c.FullStatus, c.WrapPolicy = 1, status, probed.of
				})
				free := newSidecar(t, "pod-1", 1, 50*time.Millisecond)
				full.listen()
				free.listen()
				f := newFront(t, activator.Config{})
				f.UpdateRevision(activator.Revision{ID: hello})
				f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{full.endpoint(), free.endpoint()}})
				f.awaitUsable(t, 2)
				statuses := make(chan int)
				for range 3 { // one is served, one waits
					go func() {
						resp, err := http.Get("http://" + full.addr)
						if err != nil {
							t.Error(err)
							statuses <- 0
							return
						}
						_ = resp.Body.Close()
						statuses <- resp.StatusCode
					}()
				}
				if s := <-statuses; s != status {
					t.Errorf("%d of a full queue", s)
				}
				before := probed.n.Load()
				for _, a := range together(4, func(int) answer { // two for each pod
					return f.do(http.MethodPost, "/", []byte("body"), header...)
				}) {
					if !a.ok() || !strings.HasPrefix(a.body, "pod-1 ") {
						t.Errorf("%v %v", a, a.header)
					}
				}
				<-statuses
				<-statuses
				if probed.n.Load() != before {
					t.Error("the full pod is probed again, as if it were dead")
				}
			})
		}
	}
}

// TestPeers4DeadAppOfARealQueueProxy: what a queue-proxy can't hand to its app is answered by another pod, in gRPC too,
// and the pod is taken out of use.
func TestPeers4DeadAppOfARealQueueProxy(t *testing.T) {
	for name, header := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dead, alive := newSidecar(t, "pod-0", 1, 0), newSidecar(t, "pod-1", 1, 0)
			dying, err := net.Listen("tcp", dead.app)
			if err != nil {
				t.Fatal(err)
			}
			release := make(chan struct{})
			alive.block = release
			alive.listen()
			f := newFront(t, activator.Config{})
			f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
			f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{dead.endpoint(), alive.endpoint()}})
			f.awaitUsable(t, 2)
			dying.Close()
			go func() {
				await(t, "a request at the living pod, and all others to wait for it", func() bool {
					s, _ := f.Stats(hello)
					return alive.inFlight.Load() == 1 && s.Usable == 1 && s.Waiting == 3
				})
				close(release)
			}()
			for _, a := range together(4, func(int) answer { return f.do(http.MethodPost, "/", []byte("body"), header...) }) {
				if !a.ok() || !strings.HasPrefix(a.body, "pod-1 ") {
					t.Errorf("%v %v", a, a.header)
				}
			}
			if s, _ := f.Stats(hello); s.Usable != 1 {
				t.Errorf("%d pods are usable, one is dead", s.Usable)
			}
		})
	}
}
