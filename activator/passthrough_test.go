package activator_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/activator"
)

// envoy is a mesh's part of a pod: it refuses who addresses the pod, unless told not to, and passes on the rest.
type envoy struct {
	*pod
	strict atomic.Bool
	hosts  atomic.Pointer[string] // the last Host of a request that was passed on, and its K-Passthrough-Lb
}

func newEnvoy(t *testing.T, id string, passthrough string) *envoy {
	e := &envoy{}
	e.strict.Store(true)
	e.pod = newPod(t, id, 0, false, nil)
	next := e.pod.server.Handler
	e.pod.kill()
	e.pod.wrap = func(w http.ResponseWriter, r *http.Request) {
		allowed := passthrough != "" && r.Host == passthrough && r.Header.Get("K-Passthrough-Lb") == "true"
		if e.strict.Load() && !allowed {
			http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
			return
		}
		seen := fmt.Sprint(r.Host, " ", r.Header.Get("K-Passthrough-Lb"))
		e.hosts.Store(&seen)
		next.ServeHTTP(w, r)
	}
	e.pod.listen(t, e.pod.addr)
	return e
}

// TestPassthrough: with enable-mesh-pod-addressability the mesh passes probes and requests on to the very pod.
func TestPassthrough(t *testing.T) {
	e := newEnvoy(t, "pod-1", "hello-00001-private.default")
	f := newFront(t, activator.Config{Passthrough: true})
	f.UpdateRevision(activator.Revision{ID: hello})
	all := endpointsOf(e.pod)
	all.Service = "hello-00001-private"
	f.UpdateEndpoints(hello, all)
	f.awaitUsable(t, 1)
	for _, forged := range []string{"true", "false"} {
		if a := f.get("/", "K-Passthrough-Lb", forged); !a.ok() || a.body != "pod-1\n" {
			t.Error(a)
		}
		if got := *e.hosts.Load(); got != "hello-00001-private.default true" {
			t.Errorf("host and passthrough: %s", got)
		}
	}
}

// TestPeers10MeshAndBack: requests go over the cluster IP while a mesh refuses who addresses pods, and to pods again
// when it doesn't any more, with no request failed.
func TestPeers10MeshAndBack(t *testing.T) {
	t.Parallel()
	e := newEnvoy(t, "pod-1", "")
	cluster := newPod(t, "cluster", 0, false, nil)
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 10})
	all := endpointsOf(e.pod)
	all.ClusterIP = cluster.addr
	f.UpdateEndpoints(hello, all)
	if a := f.get("/"); !a.ok() || a.body != "cluster\n" {
		t.Fatal(a)
	}
	stop, halt := blocking()
	done := make(chan []answer)
	go func() {
		done <- together(8, func(int) (a answer) {
			for {
				if a = f.get("/"); !a.ok() {
					return a
				}
				select {
				case <-stop:
					return a
				default:
				}
			}
		})
	}()
	e.strict.Store(false)
	await(t, "requests at the pod", func() bool { return e.served.Load() > 100 || len(done) > 0 })
	halt()
	for _, a := range <-done {
		if !a.ok() {
			t.Error(a)
		}
	}
	if a := f.get("/"); a.body != "pod-1\n" {
		t.Error(a)
	}
}
