package kube

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"
)

func TestReadRevision(t *testing.T) {
	defaults := activator.Revision{
		ID:       throttler.RevisionID{Namespace: "ns", Name: "r"},
		Timeouts: proxy.Timeouts{Total: 300 * time.Second},
	}
	with := func(f func(*activator.Revision)) activator.Revision {
		r := defaults
		f(&r)
		return r
	}
	for _, tt := range []struct {
		name, metadata, spec string
		want                 activator.Revision
	}{
		{"defaults", ``, `{}`, defaults},
		{"zero timeout", ``, `{"timeoutSeconds":0,"containerConcurrency":0}`, defaults},
		{"negative", ``, `{"timeoutSeconds":-1,"containerConcurrency":-3,"idleTimeoutSeconds":-1}`, defaults},
		{"limit", ``, `{"containerConcurrency":10}`, with(func(r *activator.Revision) { r.Limit = 10 })},
		{"timeouts", ``, `{"timeoutSeconds":30,"responseStartTimeoutSeconds":20,"idleTimeoutSeconds":10}`, with(func(r *activator.Revision) {
			r.Timeouts = proxy.Timeouts{Total: 30 * time.Second, ResponseStart: 20 * time.Second, Idle: 10 * time.Second}
		})},
		{"h2c is the client's protocol too", ``, `{"containers":[{"ports":[{"name":"h2c"}]}]}`, defaults},
		{"labels", `,"labels":{"serving.knative.dev/service":"s","serving.knative.dev/configuration":"c"}`, `{}`, with(func(r *activator.Revision) {
			r.Service, r.Configuration = "s", "c"
		})},
		{"affinity", `,"annotations":{"sluice.dev/affinity":"cookie=sid","sluice.dev/affinity-order":"strict"}`, `{}`, with(func(r *activator.Revision) {
			r.Affinity, r.AffinityOrder, r.Bypassed = "cookie=sid", "strict", true
		})},
		{"affinity with the activator in the path", `,"annotations":{"sluice.dev/affinity":"path=1","autoscaling.knative.dev/target-burst-capacity":"-1"}`, `{}`, with(func(r *activator.Revision) {
			r.Affinity = "path=1"
		})},
		{"an older name", `,"annotations":{"sluice.dev/affinity":"path=1","autoscaling.knative.dev/targetBurstCapacity":"-1"}`, `{}`, with(func(r *activator.Revision) {
			r.Affinity = "path=1"
		})},
		{"being deleted", `,"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["f"]`, `{}`, defaults},
		{"http probe", ``, `{"containers":[{"readinessProbe":{"httpGet":{"path":"/"}}}]}`, defaults},
		{"exec probe", ``, `{"containers":[{"readinessProbe":{"exec":{"command":["x"]}}}]}`, with(func(r *activator.Revision) { r.NoEarlyUse = true })},
		{"exec probe of a sidecar", ``, `{"containers":[{"ports":[{"containerPort":1}]},{"readinessProbe":{"exec":{}}}]}`, defaults},
		{"exec probe of the serving one", ``, `{"containers":[{},{"ports":[{"containerPort":1}],"readinessProbe":{"exec":{}}}]}`, with(func(r *activator.Revision) { r.NoEarlyUse = true })},
		{"startup probe", ``, `{"containers":[{"startupProbe":{"httpGet":{}}}]}`, with(func(r *activator.Revision) { r.NoEarlyUse = true })},
		{"startup probe of a sidecar", ``, `{"containers":[{"ports":[{}]},{"startupProbe":{"exec":{}}}]}`, with(func(r *activator.Revision) { r.NoEarlyUse = true })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := `{"metadata":{"name":"r","namespace":"ns","managedFields":[{"manager":"m"}]` + tt.metadata + `},"spec":` + tt.spec + `,"status":{"x":1}}`
			var o revisionObject
			if err := json.Unmarshal([]byte(text), &o); err != nil {
				t.Fatal(err)
			}
			if got := (reader{}).revision(&o).(*revision).Revision; got != tt.want {
				t.Errorf("read %+v, want %+v", got, tt.want)
			}
			tt.want.Timeouts = proxy.Timeouts{} // as up to Knative 1.7
			if got := (reader{noTimeouts: true}).revision(&o).(*revision).Revision; got != tt.want {
				t.Errorf("without timeouts: read %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestReadLists(t *testing.T) {
	system := func(ip string) pod { return pod{uid: "u" + ip, ip: ip, namespace: "knative-serving", state: "ready"} }
	h2c := slice(labelled("x", "r", "Private"), "http2", pod{uid: "u", ip: "10.0.0.1", state: "ready"})
	*h2c.Ports[1].Port = 8013
	both := slice(labelled("x", "r", "Private"), "http2", pod{uid: "u", ip: "10.0.0.1"})
	http, number := "http", int32(8012)
	both.Ports = append(both.Ports, discoveryv1.EndpointPort{Name: &http, Port: &number})
	fqdn := podSlice("r", 0, pod{uid: "u", ip: "name.example", state: "ready"})
	fqdn.AddressType = discoveryv1.AddressTypeFQDN
	empty := podSlice("r", 0)
	empty.Ports = nil
	noAddress := podSlice("r", 0, pod{uid: "u", ip: "10.0.0.1"})
	noAddress.Endpoints[0].Addresses = nil
	one := func(id, addr string, ready bool) []endpoint {
		e := activator.Endpoint{ID: id, Addr: addr}
		if strings.Contains(addr, ":") && id != "" { // a pod; of an activator the address is all that is wanted
			e.Name = "pod-" + id
		}
		return []endpoint{{e, ready}}
	}
	for _, tt := range []struct {
		name   string
		obj    any
		public bool
		want   []endpoint
	}{
		{"ready", podSlice("r", 0, pod{uid: "u", ip: "10.0.0.1", state: "ready"}), false, one("u", "10.0.0.1:8012", true)},
		{"not ready", podSlice("r", 0, pod{uid: "u", ip: "10.0.0.1", state: "unready"}), false, one("u", "10.0.0.1:8012", false)},
		{"no condition is ready", podSlice("r", 0, pod{uid: "u", ip: "10.0.0.1"}), false, one("u", "10.0.0.1:8012", true)},
		{"terminating", podSlice("r", 0, pod{uid: "u", ip: "10.0.0.1", state: "terminating"}), false, nil},
		{"no pod behind it", podSlice("r", 0, pod{ip: "10.0.0.1", state: "ready"}), false, one("", "10.0.0.1:8012", true)},
		{"IPv6", podSlice("r", 0, pod{uid: "u", ip: "fd00::1", state: "ready"}), false, one("u", "[fd00::1]:8012", true)},
		{"h2c", h2c, false, one("u", "10.0.0.1:8013", true)},
		{"both ports", both, false, one("u", "10.0.0.1:8012", true)},
		{"names for addresses", fqdn, false, nil},
		{"no ports", empty, false, nil},
		{"no addresses", noAddress, false, nil},
		{"activators", peerSlice("r", system("10.1.0.1")), true, one("u10.1.0.1", "10.1.0.1", true)},
		{"an activator that isn't ready", peerSlice("r", pod{uid: "u", ip: "10.1.0.1", namespace: "knative-serving", state: "unready"}), true, nil},
		{"pods in public", peerSlice("r", pod{uid: "u", ip: "10.0.0.1", state: "ready"}), true, nil},
		{"C10 an address without a reference in public", peerSlice("r", pod{ip: "10.1.0.1", state: "ready"}), true, nil},
		{"C10 an address without a reference in public Endpoints", coreList(labelled("r", "r", "Public"), pod{ip: "10.1.0.1"}), true, nil},
		{"C10 loopback in public", peerSlice("r", system("127.0.0.1")), true, nil},
		{"C10 link-local in public", peerSlice("r", system("169.254.169.254")), true, nil},
		{"Endpoints", coreList(labelled("x", "r", "Private"), pod{uid: "u", ip: "10.0.0.1", state: "ready"}), false, one("u", "10.0.0.1:8012", true)},
		{"Endpoints not ready", coreList(labelled("x", "r", "Private"), pod{uid: "u", ip: "10.0.0.1", state: "unready"}), false, one("u", "10.0.0.1:8012", false)},
		{"Endpoints of activators", coreList(labelled("x", "r", "Public"), system("10.1.0.1")), true, one("u10.1.0.1", "10.1.0.1", true)},
		{"Endpoints without the port", &coreEndpoints{ObjectMeta: labelled("x", "r", "Private"), Subsets: []coreSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "10.0.0.1"}}, Ports: []corev1.EndpointPort{{Name: "other", Port: 1}},
		}}}, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := reader{systemNamespace: "knative-serving"}.list(tt.obj).(*list)
			if len(l.endpoints) == 0 {
				l.endpoints = nil
			}
			if !reflect.DeepEqual(l.endpoints, tt.want) || l.public != tt.public || l.of != (throttler.RevisionID{Namespace: "ns", Name: "r"}) {
				t.Errorf("read %+v, want %+v", l, tt.want)
			}
		})
	}
}

func TestReadService(t *testing.T) {
	for ip, want := range map[string]string{"10.96.0.1": "10.96.0.1", "None": "", "": "", "fd00::1": "fd00::1"} {
		if got := readService(aService("r", ip)).(*service); got.clusterIP != want || got.name.name != "r-private" || got.of.Name != "r" {
			t.Errorf("%q: read %+v", ip, got)
		}
	}
}

func TestMerge(t *testing.T) {
	lists := func(all ...*discoveryv1.EndpointSlice) []*list {
		var ls []*list
		for _, s := range all {
			ls = append(ls, reader{systemNamespace: "knative-serving"}.readSlice(s))
		}
		return ls
	}
	ready, not := "ready", "unready"
	v4 := podSlice("r", 0, pod{uid: "1", ip: "10.0.0.1", state: ready}, pod{uid: "2", ip: "10.0.0.2", state: not})
	v6 := podSlice("r", 1, pod{uid: "1", ip: "fd00::1", state: ready}, pod{uid: "2", ip: "fd00::2", state: not}, pod{uid: "3", ip: "fd00::3", state: ready})
	for _, tt := range []struct {
		name      string
		lists     []*list
		clusterIP string
		ready     []string
		notReady  []string
	}{
		{"no lists", nil, "10.96.0.1", nil, nil},
		{"one family", lists(v4), "10.96.0.1", []string{"10.0.0.1:8012"}, []string{"10.0.0.2:8012"}},
		{"both, IPv4 first", lists(v4, v6), "10.96.0.1", []string{"10.0.0.1:8012", "[fd00::3]:8012"}, []string{"10.0.0.2:8012"}},
		{"both, the other way round", lists(v6, v4), "10.96.0.1", []string{"10.0.0.1:8012", "[fd00::3]:8012"}, []string{"10.0.0.2:8012"}},
		{"both, no cluster IP", lists(v6, v4), "", []string{"10.0.0.1:8012", "[fd00::3]:8012"}, []string{"10.0.0.2:8012"}},
		{"both, IPv6 first", lists(v4, v6), "fd00::99", []string{"[fd00::1]:8012", "[fd00::3]:8012"}, []string{"[fd00::2]:8012"}},
		{"IPv4 alone behind an IPv6 Service", lists(v4), "fd00::99", []string{"10.0.0.1:8012"}, []string{"10.0.0.2:8012"}},
		{
			"a pod on its way from slice to slice is ready in one",
			lists(v4, podSlice("r", 2, pod{uid: "2", ip: "10.0.0.2", state: ready})), "10.96.0.1",
			[]string{"10.0.0.1:8012", "10.0.0.2:8012"},
			nil,
		},
		{
			"the same, the other way round",
			lists(podSlice("r", 2, pod{uid: "2", ip: "10.0.0.2", state: ready}), v4), "10.96.0.1",
			[]string{"10.0.0.2:8012", "10.0.0.1:8012"},
			nil,
		},
		{
			"an address that another pod has now", lists(v4, podSlice("r", 2, pod{uid: "9", ip: "10.0.0.1", state: ready})),
			"10.96.0.1",
			[]string{"10.0.0.1:8012", "10.0.0.1:8012"},
			[]string{"10.0.0.2:8012"},
		},
		{"no pods behind addresses", lists(podSlice("r", 0, pod{ip: "10.0.0.1"}), podSlice("r", 1, pod{ip: "10.0.0.1"})), "", []string{"10.0.0.1:8012"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := change{entry: entry{service: &service{clusterIP: tt.clusterIP}, pods: tt.lists}}
			e := (&publisher{index: map[string]int{}}).endpoints(&c)
			if got := addrs(e.Ready); !reflect.DeepEqual(got, tt.ready) {
				t.Errorf("ready %v, want %v", got, tt.ready)
			}
			if got := addrs(e.NotReady); !reflect.DeepEqual(got, tt.notReady) {
				t.Errorf("not ready %v, want %v", got, tt.notReady)
			}
		})
	}
}

func addrs(all []activator.Endpoint) (got []string) {
	for _, e := range all {
		got = append(got, e.Addr)
	}
	return got
}

func TestPeers29Tombstone(t *testing.T) {
	tb := newTable()
	s := &store{endpoints, reader{systemNamespace: "knative-serving"}.list, tb}
	o := podSlice("r", 0, podsFrom(1, 1)...)
	if err := s.Add(o); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(cache.DeletedFinalStateUnknown{Key: "ns/r-private-000", Obj: o}); err != nil {
		t.Fatal(err)
	}
	if len(tb.items[endpoints]) != 0 || len(tb.entries) != 0 {
		t.Errorf("still known: %v %v", tb.items, tb.entries)
	}
}

func TestStoreRefusesWhatIsNotOfItsKind(t *testing.T) {
	s := &store{services, readService, newTable()}
	if s.Add(&corev1.Secret{}) == nil || s.Replace([]any{&corev1.Secret{}}, "") == nil {
		t.Error("took a Secret for a Service")
	}
}
