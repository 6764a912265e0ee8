package kube

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

func hello(a *api) {
	a.put("revisions", aRevision("hello", 2))
	a.put("services", aService("hello", "10.96.0.9"))
	a.put("endpointslices", podSlice("hello", 0, podsFrom(1, 2)...),
		peerSlice("hello", pod{uid: "a", ip: "10.1.0.2", namespace: "knative-serving", state: "ready"}, pod{uid: "b", ip: "10.1.0.1", namespace: "knative-serving", state: "ready"}))
}

func TestSourceTellsWhatThereIs(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain list=%v", plain), func(t *testing.T) {
			a := newAPI(t)
			a.plain = plain
			hello(a)
			a.put("services", &corev1.Service{ObjectMeta: labelled("hello", "hello", "Public")}) // not listed
			s, r := started(t, Config{REST: a.config()})
			within(t, "synced", s.Synced())
			id := throttler.RevisionID{Namespace: "ns", Name: "hello"}
			want := published{
				revision: &activator.Revision{ID: id, Limit: 2, Timeouts: proxy.Timeouts{Total: time.Minute}, Service: "svc", Configuration: "conf"},
				endpoints: activator.Endpoints{
					Ready:     []activator.Endpoint{{ID: "uid-1", Addr: "10.0.0.1:8012", Name: "pod-uid-1"}, {ID: "uid-2", Addr: "10.0.0.2:8012", Name: "pod-uid-2"}},
					ClusterIP: "10.96.0.9:80", Service: "hello-private",
				},
				peers: []string{"10.1.0.1", "10.1.0.2"},
			}
			if got := r.of("hello"); !reflect.DeepEqual(got, want) {
				t.Errorf("published\n%+v %+v\nwant\n%+v %+v", got, *got.revision, want, *want.revision)
			}
		})
	}
}

func TestSourceTellsChanges(t *testing.T) {
	a := newAPI(t)
	hello(a)
	s, r := started(t, Config{REST: a.config()})
	within(t, "synced", s.Synced())

	a.put("revisions", aRevision("hello", 5))
	r.until("limit", "hello", func(s published) bool { return s.revision.Limit == 5 })
	p := podsFrom(1, 3)
	p[0].state, p[1].state = "unready", "terminating"
	a.put("endpointslices", podSlice("hello", 0, p...))
	r.until("states of pods", "hello", func(s published) bool {
		return len(s.endpoints.Ready) == 1 && s.endpoints.Ready[0].ID == "uid-3" &&
			len(s.endpoints.NotReady) == 1 && s.endpoints.NotReady[0].ID == "uid-1"
	})
	// Serve mode: the public endpoints are the pods.
	a.put("endpointslices", peerSlice("hello", p...))
	r.until("no activator in the path", "hello", func(s published) bool { return len(s.peers) == 0 })
	a.put("services", aService("hello", "10.96.0.10"))
	r.until("cluster IP", "hello", func(s published) bool { return s.endpoints.ClusterIP == "10.96.0.10:80" })
	a.delete("services", "ns", "hello-private")
	r.until("no service", "hello", func(s published) bool { return s.endpoints.ClusterIP == "" && s.endpoints.Service == "" })
	a.delete("endpointslices", "ns", "hello-private-000")
	a.delete("revisions", "ns", "hello")
	r.until("all gone", "hello", func(s published) bool { return reflect.ValueOf(s).IsZero() })
}

// The Service of a revision with a long name has a hash for a name: the labels find it.
func TestPrivateServiceIsFoundByLabel(t *testing.T) {
	a := newAPI(t)
	hello(a)
	v := aService("hello", "10.96.0.9")
	v.Name = "hel0123456789-private"
	a.put("services", v)
	a.delete("services", "ns", "hello-private")
	s, r := started(t, Config{REST: a.config()})
	within(t, "synced", s.Synced())
	if e := r.of("hello").endpoints; e.Service != v.Name || e.ClusterIP != "10.96.0.9:80" {
		t.Errorf("published %+v", e)
	}
}

func TestSyncedWaitsForEveryKind(t *testing.T) {
	a := newAPI(t)
	hello(a)
	a.deny("services", true)
	s, r := started(t, Config{REST: a.config()})
	a.reaches(2, "watch services") // asked again, so the others have been listed
	select {
	case <-s.Synced():
		t.Fatal("synced without Services")
	default:
	}
	if n := r.called(); n > 0 {
		t.Errorf("an incomplete state was published, in %d calls", n)
	}
	a.deny("services", false)
	within(t, "synced", s.Synced())
}

func TestPeers19MoreThan1000PodsInSeveralSlices(t *testing.T) {
	a := newAPI(t)
	hello(a)
	const each, n = 100, 25
	for i := range n {
		a.put("endpointslices", podSlice("hello", i, podsFrom(1+i*each, each)...))
	}
	s, r := started(t, Config{REST: a.config()})
	within(t, "synced", s.Synced())
	if got := len(r.of("hello").endpoints.Ready); got != each*n {
		t.Fatalf("%d pods, want %d", got, each*n)
	}
	// One pod moves to another slice: for a moment it is in both, and never in none.
	a.put("endpointslices", podSlice("hello", n, podsFrom(1, 1)...))
	a.put("endpointslices", podSlice("hello", 0, podsFrom(2, each-1)...))
	a.put("endpointslices", podSlice("hello", n+1, podsFrom(1+each*n, 1)...))
	r.until("one more", "hello", func(s published) bool { return len(s.endpoints.Ready) == each*n+1 })
	a.delete("endpointslices", "ns", "hello-private-010")
	r.until("a slice less", "hello", func(s published) bool { return len(s.endpoints.Ready) == each*(n-1)+1 })
}

func TestPeers19EndpointsWhereSlicesAreNotGranted(t *testing.T) {
	for _, noReviews := range []bool{false, true} {
		t.Run(fmt.Sprintf("no reviews=%v", noReviews), func(t *testing.T) {
			a := newAPI(t)
			a.noReviews = noReviews
			hello(a)
			a.deny("endpointslices", true)
			a.put("endpoints", coreList(labelled("hello-private", "hello", "Private"), podsFrom(7, 2)...),
				coreList(labelled("hello", "hello", "Public"), pod{uid: "a", ip: "10.1.0.7", namespace: "knative-serving"}))
			core, logs := observer.New(zap.InfoLevel)
			s, r := started(t, Config{REST: a.config(), Log: zap.New(core)}, func(s *Source) { s.pods.period = 50 * time.Millisecond })
			within(t, "synced", s.Synced())
			if got := r.of("hello"); !reflect.DeepEqual(got.ips(), []string{"10.0.0.7:8012", "10.0.0.8:8012"}) || !reflect.DeepEqual(got.peers, []string{"10.1.0.7"}) {
				t.Errorf("published %+v", got)
			}
			if got := logs.FilterLevelExact(zap.WarnLevel).FilterMessageSnippet("grant").Len(); got != 1 {
				t.Errorf("logged %d times that slices should be granted: %v", got, logs.All())
			}

			// Granted: used from the next list on, without a moment in which there is no pod.
			a.deny("endpointslices", false)
			if noReviews { // else it is asked before long
				a.deny("endpoints", true)
				a.drop()
			}
			r.until("slices", "hello", func(s published) bool {
				if len(s.endpoints.Ready) == 0 {
					t.Error("no pods meanwhile")
				}
				return s.ips()[0] == "10.0.0.1:8012" && len(s.peers) == 2
			})
		})
	}
}

// An API server that has just started knows no roles and denies everything for a moment.
func TestPeers19SlicesStayWhileADenialIsFresh(t *testing.T) {
	a := newAPI(t)
	hello(a)
	a.put("endpoints", coreList(labelled("hello-private", "hello", "Private"), podsFrom(7, 2)...))
	patience := func(d time.Duration) func(*Source) { return func(s *Source) { s.pods.patience = d } }
	s, r := started(t, Config{REST: a.config()}, patience(time.Hour))
	s2, r2 := started(t, Config{REST: a.config()}, patience(0))
	within(t, "synced", s.Synced())
	within(t, "synced", s2.Synced())
	calls, before := r.called(), a.count("watch endpointslices")
	a.deny("endpointslices", true)
	a.drop()
	r2.until("Endpoints, for the one without patience", "hello", func(s published) bool { return len(s.ips()) > 0 && s.ips()[0] == "10.0.0.7:8012" })
	a.reaches(before+3, "watch endpointslices")
	if got := r.called(); got != calls {
		t.Errorf("published something: %+v", r.of("hello"))
	}
	a.deny("endpointslices", false)
	a.delete("endpointslices", "ns", "hello-private-000")
	r.until("what changed meanwhile", "hello", func(s published) bool { return len(s.endpoints.Ready) == 0 })
}

func TestPeers29MissedDelete(t *testing.T) {
	for _, tt := range []struct {
		name   string
		relist time.Duration
		mend   func(*api)
	}{
		{"the watch expires (410)", 0, (*api).expire},
		{"the next list is due", 300 * time.Millisecond, func(*api) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAPI(t)
			hello(a)
			a.put("revisions", aRevision("gone", 1))
			a.put("services", aService("gone", "10.96.0.3"))
			a.put("endpointslices", podSlice("gone", 0, podsFrom(50, 3)...), podSlice("hello", 1, podsFrom(60, 1)...))
			s, r := started(t, Config{REST: a.config(), Relist: tt.relist})
			within(t, "synced", s.Synced())
			for _, o := range [][2]string{
				{"revisions", "gone"}, {"services", "gone-private"}, {"endpointslices", "gone-private-000"}, {"endpointslices", "hello-private-001"},
			} {
				a.forget(o[0], "ns", o[1])
			}
			tt.mend(a)
			r.until("a revision gone", "gone", func(s published) bool { return reflect.ValueOf(s).IsZero() })
			r.until("a pod gone", "hello", func(s published) bool { return len(s.endpoints.Ready) == 2 })
		})
	}
}

func TestPeers29ListsThatSayNothingNewAreNotTold(t *testing.T) {
	a := newAPI(t)
	hello(a)
	s, r := started(t, Config{REST: a.config(), Relist: 100 * time.Millisecond})
	within(t, "synced", s.Synced())
	calls := r.called()
	a.reaches(15, "watch revisions", "watch services", "watch endpointslices")
	annotated := podSlice("hello", 0, podsFrom(1, 2)...)
	annotated.Annotations = map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": "now"}
	a.put("endpointslices", annotated)
	a.put("revisions", aRevision("last", 1)) // shows that the rest has been seen
	r.until("last", "last", func(s published) bool { return s.revision != nil })
	if got := r.called(); got != calls+1 {
		t.Errorf("%d calls, want %d", got, calls+1)
	}
}

func TestAPIServerAway(t *testing.T) {
	a := newAPI(t)
	hello(a)
	core, logs := observer.New(zap.DebugLevel)
	s, r := started(t, Config{REST: a.config(), Log: zap.New(core)})
	within(t, "synced", s.Synced())
	calls := r.called()
	a.down()
	for deadline := time.Now().Add(time.Minute); logs.FilterMessageSnippet("can't watch").Len() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) { // each kind should have been refused
			t.Fatalf("the log has %v", logs.All())
		}
	}
	if got := r.called(); got != calls {
		t.Errorf("published something while the API server was down: %d calls", got-calls)
	}
	a.delete("endpointslices", "ns", "hello-private-000")
	a.put("revisions", aRevision("new", 1))
	a.up()
	r.until("what changed meanwhile", "hello", func(s published) bool { return len(s.endpoints.Ready) == 0 })
	r.until("what is new", "new", func(s published) bool { return s.revision != nil })
	if n := logs.Len(); n > 20 {
		t.Errorf("%d lines in the log: %v", n, logs.All())
	}
	if logs.FilterMessageSnippet("can't watch revisions").Len() != 1 {
		t.Errorf("the log doesn't say it once: %v", logs.All())
	}
}

func TestRunEndsWhileTheAPIServerIsAway(t *testing.T) {
	a := newAPI(t)
	a.down()
	s, err := New(Config{REST: a.config(), SystemNamespace: "knative-serving"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 1200*time.Millisecond) // in the middle of a pause
	defer cancel()
	_ = s.Run(ctx, newRecorder(t))
	if due, _ := ctx.Deadline(); time.Since(due) > 500*time.Millisecond {
		d := time.Since(due)
		t.Errorf("took %v to end", d)
	}
	a.up() // for the clean-up
}

func TestConfigOfTheCallerStays(t *testing.T) {
	a := newAPI(t)
	c := &rest.Config{Host: "http://" + a.addr, QPS: 7}
	before := rest.CopyConfig(c)
	if _, err := New(Config{REST: c, SystemNamespace: "s"}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, before) {
		t.Errorf("changed to %+v", c)
	}
}

func TestConfigValidate(t *testing.T) {
	if err := (Config{REST: &rest.Config{}, SystemNamespace: "s"}).Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []Config{{SystemNamespace: "s"}, {REST: &rest.Config{}}, {REST: &rest.Config{}, SystemNamespace: "s", Relist: -1}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}
