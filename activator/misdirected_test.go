package activator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// TestF11AddressOfAnotherRevision: a pod has gone and its address is that of another revision's pod by now, while the
// activator still has it in use. That one refuses what isn't for it, which goes to another pod, and the address is out of
// use until it is its own pod's again, though who is there is ready.
func TestF11AddressOfAnotherRevision(t *testing.T) {
	for name, header := range refusals {
		for _, other := range []queueproxy.Identity{
			{Namespace: hello.Namespace, Revision: "hello-00002", Pod: "pod-2"}, {Namespace: "kube-system", Revision: hello.Name, Pod: "pod-2"},
		} {
			t.Run(name+" "+other.Namespace, func(t *testing.T) {
				t.Parallel()
				gone, stays := newSidecar(t, "pod-0", 0, 0), newSidecar(t, "pod-1", 0, 0)
				reused := newSidecar(t, "pod-2", 0, 0, func(c *queueproxy.Config) { c.Identity = other })
				for _, s := range []*sidecar{gone, stays, reused} {
					s.listen()
				}
				n := new(network)
				const first, second = "10.0.0.1:8012", "10.0.0.2:8012"
				n.put(first, gone.addr)
				n.put(second, stays.addr)
				f := newFront(t, activator.Config{Dial: n.dial})
				f.UpdateRevision(activator.Revision{ID: hello})
				f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{{ID: "pod-0", Addr: first}, {ID: "pod-1", Addr: second}}})
				f.awaitUsable(t, 2)
				n.put(first, reused.addr)
				for range 40 { // a choice among two, at random: one in 2⁴⁰ such runs never comes to the address
					if a := f.do(http.MethodPost, "/", []byte("body"), header...); !a.ok() || !strings.HasPrefix(a.body, "pod-1 ") {
						t.Fatal(a, a.header)
					}
				}
				if s, _ := f.Stats(hello); s.Usable != 1 {
					t.Errorf("%d addresses are in use, one is another pod's", s.Usable)
				}
				if reused.most.Load() > 0 {
					t.Error("the other revision's app got a request")
				}
			})
		}
	}
}
