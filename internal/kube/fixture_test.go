package kube

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/throttler"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

//lint:ignore SA1019 where slices aren't granted
type coreSubset = corev1.EndpointSubset

// Objects of namespace ns, as Knative makes them.

func aRevision(rev string, limit int) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "serving.knative.dev/v1", "kind": "Revision",
		"metadata": map[string]any{
			"name": rev, "namespace": "ns",
			"labels": map[string]any{"serving.knative.dev/service": "svc", "serving.knative.dev/configuration": "conf"},
		},
		"spec": map[string]any{
			"containerConcurrency": int64(limit), "timeoutSeconds": int64(60),
			"containers": []any{map[string]any{"image": "i", "name": "user-container"}},
		},
	}}
}

func labelled(objName, rev, serviceType string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: objName, Namespace: "ns", Labels: map[string]string{
		"serving.knative.dev/revision": rev, "serving.knative.dev/revisionUID": "uid-of-" + rev,
		"networking.internal.knative.dev/serviceType": serviceType,
	}}
}

func aService(rev, ip string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: labelled(rev+"-private", rev, "Private")}
	s.Spec.ClusterIP = ip
	return s
}

type pod struct {
	uid, ip   string
	namespace string // ns
	state     string // ready, unready, terminating, "" for no condition
}

// podsFrom makes ready ones, numbered.
func podsFrom(first, n int) []pod {
	all := make([]pod, n)
	for i := range all {
		k := first + i
		all[i] = pod{uid: fmt.Sprintf("uid-%d", k), ip: fmt.Sprintf("10.%d.%d.%d", k>>16, k>>8&255, k&255), state: "ready"}
	}
	return all
}

func (p pod) target() *corev1.ObjectReference {
	if p.uid == "" {
		return nil
	}
	return &corev1.ObjectReference{Kind: "Pod", Namespace: cmpOr(p.namespace, "ns"), Name: "pod-" + p.uid, UID: types.UID(p.uid)}
}

func slice(m metav1.ObjectMeta, port string, all ...pod) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: m, AddressType: discoveryv1.AddressTypeIPv4}
	metrics, number, metricsNumber := "http-autometric", int32(8012), int32(9090)
	s.Ports = []discoveryv1.EndpointPort{{Name: &metrics, Port: &metricsNumber}, {Name: &port, Port: &number}}
	for _, p := range all {
		e := discoveryv1.Endpoint{Addresses: []string{p.ip}, TargetRef: p.target()}
		yes, no := true, false
		switch p.state {
		case "ready":
			e.Conditions.Ready = &yes
		case "unready":
			e.Conditions.Ready = &no
		case "terminating":
			e.Conditions.Ready, e.Conditions.Terminating = &no, &yes
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

// podSlice is slice number i of a revision's pods.
func podSlice(rev string, i int, all ...pod) *discoveryv1.EndpointSlice {
	return slice(labelled(fmt.Sprintf("%s-private-%03d", rev, i), rev, "Private"), "http", all...)
}

func peerSlice(rev string, all ...pod) *discoveryv1.EndpointSlice {
	return slice(labelled(rev+"-abcde", rev, "Public"), "http", all...)
}

func coreList(m metav1.ObjectMeta, all ...pod) *coreEndpoints {
	e := &coreEndpoints{ObjectMeta: m}
	sub := coreSubset{Ports: []corev1.EndpointPort{{Name: "http-autometric", Port: 9090}, {Name: "http", Port: 8012}}}
	for _, p := range all {
		a := corev1.EndpointAddress{IP: p.ip, TargetRef: p.target()}
		if p.state == "unready" {
			sub.NotReadyAddresses = append(sub.NotReadyAddresses, a)
		} else {
			sub.Addresses = append(sub.Addresses, a)
		}
	}
	e.Subsets = []coreSubset{sub}
	return e
}

// published is what has been published to a sink about a revision.
type published struct {
	revision  *activator.Revision
	endpoints activator.Endpoints
	peers     []string
}

// recorder is a sink that remembers.
type recorder struct {
	t testing.TB

	mu    sync.Mutex
	state map[throttler.RevisionID]published
	calls int
	again chan struct{} // closed at the next call
}

func newRecorder(t testing.TB) *recorder {
	return &recorder{t: t, state: map[throttler.RevisionID]published{}, again: make(chan struct{})}
}

func (r *recorder) update(id throttler.RevisionID, f func(*published)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state[id]
	f(&s)
	if reflect.ValueOf(s).IsZero() {
		delete(r.state, id)
	} else {
		r.state[id] = s
	}
	r.calls++
	close(r.again)
	r.again = make(chan struct{})
}

func (r *recorder) UpdateRevision(v activator.Revision) {
	r.update(v.ID, func(s *published) { s.revision = &v })
}

func (r *recorder) DeleteRevision(id throttler.RevisionID) {
	r.update(id, func(s *published) { s.revision = nil })
}

func (r *recorder) UpdateEndpoints(id throttler.RevisionID, e activator.Endpoints) {
	e.Ready = append([]activator.Endpoint(nil), e.Ready...) // nil if there is none
	e.NotReady = append([]activator.Endpoint(nil), e.NotReady...)
	r.update(id, func(s *published) { s.endpoints = e })
}

func (r *recorder) UpdatePeers(id throttler.RevisionID, peers []string) {
	r.update(id, func(s *published) { s.peers = append([]string(nil), peers...) })
}

func (r *recorder) of(rev string) published {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state[throttler.RevisionID{Namespace: "ns", Name: rev}]
}

func (r *recorder) called() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// until waits until ok accepts what was published about a revision.
func (r *recorder) until(what, rev string, ok func(published) bool) {
	r.t.Helper()
	deadline := time.After(time.Minute)
	for {
		r.mu.Lock()
		s, again := r.state[throttler.RevisionID{Namespace: "ns", Name: rev}], r.again
		r.mu.Unlock()
		if ok(s) {
			return
		}
		select {
		case <-again:
		case <-deadline:
			r.t.Fatalf("%s: not published; %s is %.500s", what, rev, fmt.Sprintf("%+v", s))
		}
	}
}

func (s published) ips() []string {
	all := []string{}
	for _, e := range s.endpoints.Ready {
		all = append(all, e.Addr)
	}
	slices.Sort(all)
	return all
}

// started runs a source until the test ends.
func started(t testing.TB, c Config, tweaks ...func(*Source)) (*Source, *recorder) {
	t.Helper()
	c.SystemNamespace = "knative-serving"
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, tweak := range tweaks {
		tweak(s)
	}
	r := newRecorder(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx, r); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		within(t, "the source ends", ended)
	})
	return s, r
}

func within(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatalf("%s: not within a minute", what)
	}
}

func svcPort() corev1.ServicePort { return corev1.ServicePort{Name: "http", Port: 80} }
