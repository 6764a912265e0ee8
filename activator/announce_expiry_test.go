package activator

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// announceTo has a pod of rev heard.
func announceTo(a *Activator, uid, addr string) {
	a.announcements.add(knative.Announcement{
		Namespace: rev.Namespace, Revision: rev.Name, Addr: netip.MustParseAddrPort(addr), Token: "x",
	}, PodIdentity{Namespace: rev.Namespace, UID: uid})
}

// However a pod is announced and listed, an address is one pod: as two it would get twice what it can take.
func TestAnAnnouncedAddressIsOnePod(t *testing.T) {
	const at, elsewhere = "10.0.0.7:8012", "10.0.0.8:8012"
	for name, c := range map[string]struct {
		do   func(a *Activator)
		want []string
	}{
		"listed as it was announced": {func(a *Activator) {
			announceTo(a, "a", at)
			a.UpdateEndpoints(rev, Endpoints{NotReady: []Endpoint{{ID: "a", Addr: at}}})
		}, []string{at}},
		"listed under another UID": {func(a *Activator) {
			announceTo(a, "a", at)
			a.UpdateEndpoints(rev, Endpoints{Ready: []Endpoint{{ID: "b", Addr: at}}})
		}, []string{at}},
		"listed without a UID": {func(a *Activator) {
			announceTo(a, "a", at)
			a.UpdateEndpoints(rev, Endpoints{Ready: []Endpoint{{Addr: at}}})
		}, []string{at}},
		"listed without a UID before": {func(a *Activator) {
			a.UpdateEndpoints(rev, Endpoints{Ready: []Endpoint{{Addr: at}}})
			announceTo(a, "a", at)
		}, []string{at}},
		"in the other way of writing it": {func(a *Activator) {
			announceTo(a, "a", "[::ffff:10.0.0.7]:8012")
			a.UpdateEndpoints(rev, Endpoints{Ready: []Endpoint{{Addr: at}}})
		}, []string{at}},
		"announced by the next pod": {func(a *Activator) {
			announceTo(a, "a", at)
			announceTo(a, "b", at)
		}, []string{at}},
		"listed at another address": {func(a *Activator) {
			announceTo(a, "a", at)
			a.UpdateEndpoints(rev, Endpoints{Ready: []Endpoint{{ID: "a", Addr: elsewhere}}})
		}, []string{elsewhere}},
		"listed at another address, and gone": {func(a *Activator) {
			announceTo(a, "a", at)
			a.UpdateEndpoints(rev, Endpoints{Ready: []Endpoint{{ID: "a", Addr: elsewhere}}})
			a.UpdateEndpoints(rev, Endpoints{})
		}, nil},
		"another one is listed": {func(a *Activator) {
			announceTo(a, "a", at)
			a.UpdateEndpoints(rev, Endpoints{Ready: []Endpoint{{ID: "b", Addr: elsewhere}}})
		}, []string{at, elsewhere}},
		"its revision is deleted": {func(a *Activator) {
			announceTo(a, "a", at)
			a.DeleteRevision(rev)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := unrun(t, Config{})
			a.UpdateRevision(Revision{ID: rev, Limit: 1})
			c.do(a)
			if got := probed(a); !slices.Equal(got, c.want) {
				t.Errorf("%v are probed, want %v", got, c.want)
			}
			for _, addr := range c.want {
				passAt(a, addr, false)
			}
			if got := ready(t, a); got != len(c.want) {
				t.Errorf("%d pods in use, want %d", got, len(c.want))
			}
		})
	}
}

// A pod that Kubernetes never lists is forgotten, a listed one is not; one announced twice is one.
func TestAnAnnouncedPodThatIsNeverListedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Config{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		id := rev
		a.UpdateRevision(Revision{ID: id})
		for _, uid := range []string{"7", "8", "8"} {
			announceTo(a, uid, "10.0.0."+uid+":8012")
		}
		if s, _ := a.Stats(id); s.Pods != 2 {
			t.Errorf("announced: %+v", s)
		}
		listed := Endpoints{NotReady: []Endpoint{{ID: "7", Addr: "10.0.0.7:8012"}}}
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
