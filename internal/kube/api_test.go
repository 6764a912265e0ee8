package kube

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// api is an API server on a socket, for what a real one can't be made to do: on request it forgets, expires and denies.
// It speaks lists, watches and lists that come as watches, in JSON and protobuf.
type api struct {
	t      testing.TB
	server *httptest.Server
	addr   string

	mu        sync.Mutex
	moved     *sync.Cond // with each change
	version   int
	objects   map[string]map[name]object // by resource
	events    []event
	oldest    int             // a watch from before this version has expired
	epoch     int             // a watch of an older one ends
	denied    map[string]bool // resources that may not be touched
	noReviews bool            // access reviews are denied
	plain     bool            // a list doesn't come as a watch
	requests  map[string]int  // how many of "list services" and the like there have been
}

type object interface {
	runtime.Object
	metav1.Object
}

type event struct {
	version  int
	resource string
	old, now object // nil: there was, is none
}

func newAPI(t testing.TB) *api {
	a := &api{t: t, objects: map[string]map[name]object{}, denied: map[string]bool{}, requests: map[string]int{}, version: 1}
	a.moved = sync.NewCond(&a.mu)
	a.up()
	t.Cleanup(a.down)
	return a
}

func (a *api) up() {
	l, err := net.Listen("tcp", cmpOr(a.addr, "127.0.0.1:0"))
	if err != nil {
		a.t.Fatal(err)
	}
	a.addr = l.Addr().String()
	a.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(a.serve)}}
	a.server.Start()
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// down closes all connections, and rejects others until up.
func (a *api) down() {
	_ = a.server.Listener.Close()
	a.drop()
	a.server.CloseClientConnections()
	a.server.Close()
}

func (a *api) config() *rest.Config { return &rest.Config{Host: "http://" + a.addr} }

func (a *api) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	a.moved.Broadcast()
}

// drop ends all watches.
func (a *api) drop() { a.change(func() { a.epoch++ }) }

// expire ends all watches, and has none begin from a version that was known before.
func (a *api) expire() {
	a.change(func() {
		a.epoch++
		a.version++
		a.oldest, a.events = a.version, nil
	})
}

func (a *api) deny(resource string, denied bool) { a.change(func() { a.denied[resource] = denied }) }

// put creates or updates objects.
func (a *api) put(resource string, all ...object) {
	a.change(func() {
		if a.objects[resource] == nil {
			a.objects[resource] = map[name]object{}
		}
		for _, o := range all {
			a.version++
			o = withKind(o.DeepCopyObject().(object))
			o.SetResourceVersion(strconv.Itoa(a.version))
			n := name{o.GetNamespace(), o.GetName()}
			a.events = append(a.events, event{a.version, resource, a.objects[resource][n], o})
			a.objects[resource][n] = o
		}
	})
}

func (a *api) delete(resource, namespace, obj string) {
	a.change(func() {
		n := name{namespace, obj}
		a.version++
		a.events = append(a.events, event{a.version, resource, a.objects[resource][n], nil})
		delete(a.objects[resource], n)
	})
}

// forget deletes an object without an event.
func (a *api) forget(resource, namespace, obj string) {
	a.change(func() { delete(a.objects[resource], name{namespace, obj}) })
}

func (a *api) count(what string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[what]
}

// reaches waits for n requests in all of these kinds.
func (a *api) reaches(n int, kinds ...string) {
	a.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		got := 0
		for _, k := range kinds {
			got += a.count(k)
		}
		if got >= n {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("%d requests to %v, want %d", got, kinds, n)
		}
	}
}

// selection is what a request asks for.
type selection struct {
	resource, namespace string
	labels              labels.Selector
	fields              fields.Selector
}

func (s selection) matches(resource string, o object) bool {
	return o != nil && resource == s.resource && (s.namespace == "" || s.namespace == o.GetNamespace()) &&
		s.labels.Matches(labels.Set(o.GetLabels())) && s.fields.Matches(fields.Set{"metadata.name": o.GetName()})
}

// seen is the event as it looks in a selection.
func (s selection) seen(e event) (watch.Event, bool) {
	was, is := s.matches(e.resource, e.old), s.matches(e.resource, e.now)
	switch {
	case was && is:
		return watch.Event{Type: watch.Modified, Object: e.now}, true
	case is:
		return watch.Event{Type: watch.Added, Object: e.now}, true
	case was:
		last := e.old.DeepCopyObject().(object)
		last.SetResourceVersion(strconv.Itoa(e.version))
		return watch.Event{Type: watch.Deleted, Object: last}, true
	}
	return watch.Event{}, false
}

// selectedLocked is what is there, in the order of names, and the version of it.
func (a *api) selectedLocked(s selection) (all []object, version int) {
	for _, o := range a.objects[s.resource] {
		if s.matches(s.resource, o) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(x, y object) int {
		return strings.Compare(x.GetNamespace()+"/"+x.GetName(), y.GetNamespace()+"/"+y.GetName())
	})
	return all, a.version
}
