package activator_test

import (
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

// TestAnsweredByAnEmbedder: a policy around the activator's may answer at any time, which leaves neither a place in the queue
// nor a slot taken.
func TestAnsweredByAnEmbedder(t *testing.T) {
	f := newFront(t, activator.Config{WrapPolicy: proxytest.Impatient})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	for range 3 {
		if a := f.get("/"); a.status != http.StatusTeapot {
			t.Error(a)
		}
	}
	f.awaitWaiting(t, 0)
	f.UpdateEndpoints(hello, endpointsOf(newPod(t, "pod", 1, false, nil)))
	f.awaitUsable(t, 1)
	for _, path := range []string{"/before", "/after"} {
		if a := f.get(path); a.status != http.StatusTeapot {
			t.Errorf("%s: %v", path, a)
		}
	}
	if a := f.get("/"); !a.ok() {
		t.Error(a)
	}
	await(t, "no slot to be held", func() bool {
		s, _ := f.Stats(hello)
		return s.InFlight == 0 && s.Usable == 1
	})
}
