package activator_test

import (
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
)

// impatient answers by itself whatever the policy within has an error for, the beginning of a wait too.
type impatient struct{ within proxy.Policy }

func (p impatient) Begin(req *proxy.Request) proxy.Exchange {
	return impatientExchange{p.within.Begin(req)}
}

type impatientExchange struct{ proxy.Exchange }

func (x impatientExchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Hop, error) {
	hop, err := x.Exchange.Next(req, a)
	if err != nil {
		return proxy.Hop{Local: &proxy.Local{Status: http.StatusTeapot}}, nil
	}
	return hop, nil
}

func (x impatientExchange) Release(h proxy.Hop, o proxy.Outcome) {
	if h.Local == nil {
		x.Exchange.Release(h, o)
	}
}

// TestWaitBrokenOffByAnEmbedder: it leaves neither a place in the queue nor a slot taken.
func TestWaitBrokenOffByAnEmbedder(t *testing.T) {
	f := newFront(t, activator.Config{WrapPolicy: func(within proxy.Policy) proxy.Policy { return impatient{within} }})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	for range 3 {
		if a := f.get("/"); a.status != http.StatusTeapot {
			t.Error(a)
		}
	}
	f.awaitWaiting(t, 0)
	f.UpdateEndpoints(hello, endpointsOf(newPod(t, "pod", 1, false, nil)))
	f.awaitUsable(t, 1)
	if a := f.get("/"); !a.ok() {
		t.Error(a)
	}
	await(t, "no slot to be held", func() bool {
		s, _ := f.Stats(hello)
		return s.InFlight == 0
	})
}
