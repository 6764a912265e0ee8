package activator

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/throttler"
)

// A pod that Kubernetes never lists is forgotten, a listed one is not; one announced twice is one.
func TestAnAnnouncedPodThatIsNeverListedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Config{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		id := throttler.RevisionID{Namespace: "default", Name: "hello-00001"}
		a.UpdateRevision(Revision{ID: id})
		for _, uid := range []string{"listed", "never", "never"} {
			a.announced(knative.Announcement{
				Namespace: id.Namespace, Revision: id.Name, Addr: netip.MustParseAddrPort("10.0.0.7:8012"), Token: "x",
			}, PodIdentity{Namespace: id.Namespace, UID: uid})
		}
		if s, _ := a.Stats(id); s.Pods != 2 {
			t.Errorf("announced: %+v", s)
		}
		listed := Endpoints{NotReady: []Endpoint{{ID: "listed", Addr: "10.0.0.7:8012"}}}
		a.UpdateEndpoints(id, listed)
		time.Sleep(announcedFor - time.Second)
		a.UpdateEndpoints(id, listed)
		if s, _ := a.Stats(id); s.Pods != 2 {
			t.Errorf("before its time: %+v", s)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s, _ := a.Stats(id); s.Pods != 1 {
			t.Errorf("after it: %+v", s)
		}
	})
}
