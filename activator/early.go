package activator

import (
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// earlyTimeout is Kubernetes' word for a revision that says nothing else (timeoutSeconds), and so for one that isn't
// known yet.
const earlyTimeout = 300 * time.Second

// awaitSource waits until the source has told everything, and then finds the revision. The kubelet's probes keep requests
// away until then, but not from an activator that was restarted where it was, nor in a program without a kubelet.
func (x *exchange) awaitSource(req *proxy.Request) error {
	id := x.early
	x.early = nil
	client := x.a.client(req)
	if !x.a.early.TakeOne(client) {
		err := throttler.ErrQueueFull
		x.err = &proxy.Error{Reason: proxy.QueueFull, Text: err.Error() + "\n", Err: err}
		return x.err
	}
	defer x.a.early.GiveOne(client)
	switch err := x.a.gate.Acquire(req.Park(proxy.Timeouts{Total: earlyTimeout})); {
	case err != nil:
		x.err = err
	default:
		x.a.gate.Release()
		if x.find(req, id.Namespace, id.Name) {
			return nil
		}
		x.err = unknown(id.Namespace, id.Name)
		if !x.a.hasSynced() { // Run has ended
			err := errors.New(notSynced)
			x.err = &proxy.Error{Reason: proxy.NotReady, Text: lookup + err.Error() + "\n", Err: err}
		}
	}
	return x.err
}
