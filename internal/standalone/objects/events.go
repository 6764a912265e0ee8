package objects

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

const (
	eventAge   = time.Hour // kube-apiserver's --event-ttl
	mostEvents = 1000
)

// Events records events. It belongs to the goroutine that writes to its store.
type Events struct {
	store  *store.Store
	events []kubeapi.Object // as stored, the one that happened last at the end
}

// NewEvents returns an Events that goes on with those in s.
func NewEvents(s *store.Store) *Events {
	list, _ := s.List(events.GroupResource(), "")
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b kubeapi.Object) int {
		return timeAt(a.Object, "lastTimestamp").Compare(timeAt(b.Object, "lastTimestamp"))
	})
	return &Events{store: s, events: list}
}

// Record records that something happened to an object: why in a word, such as ScaledUp, and in a sentence; component is the
// part of the quickstart that did or saw it. If the same has happened before, that is counted.
func (e *Events) Record(now time.Time, regarding kubeapi.Object, kind EventKind, reason, message, component string) {
	e.Prune(now)
	next := e.event(now, regarding, kind, reason, message, component)
	at := slices.IndexFunc(e.events, func(o kubeapi.Object) bool { return same(o, next) })
	if at < 0 {
		store.Prepare(nil, next)
	} else {
		next = e.events[at].DeepCopy()
		next.Object["count"] = int64At(next.Object, "count") + 1
		next.Object["lastTimestamp"] = format(now)
		e.events = slices.Delete(e.events, at, at+1)
	}
	e.events = append(e.events, e.store.Put(events.GroupResource(), next))
	e.Prune(now)
}

// Prune deletes events that are older than an hour, and the oldest of more than 1000.
func (e *Events) Prune(now time.Time) {
	for len(e.events) > 0 {
		oldest := e.events[0]
		if len(e.events) <= mostEvents && now.Sub(timeAt(oldest.Object, "lastTimestamp")) <= eventAge {
			return
		}
		e.store.Delete(events.GroupResource(), oldest.GetNamespace(), oldest.GetName())
		e.events[0] = nil
		e.events = e.events[1:]
	}
}

// event returns a new event. Its name is the object's and the time, as client-go's.
func (e *Events) event(now time.Time, regarding kubeapi.Object, kind EventKind, reason, message, component string) kubeapi.Object {
	namespace := cmp.Or(regarding.GetNamespace(), metav1.NamespaceDefault)
	involved := map[string]any{}
	for field, value := range map[string]string{
		"apiVersion": regarding.GetAPIVersion(), "kind": regarding.GetKind(), "namespace": regarding.GetNamespace(),
		"name": regarding.GetName(), "uid": string(regarding.GetUID()), "resourceVersion": regarding.GetResourceVersion(),
	} {
		if value != "" {
			involved[field] = value
		}
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"involvedObject": involved, "type": string(kind), "reason": reason, "message": message,
		"source": map[string]any{"component": component}, "reportingComponent": component, "reportingInstance": "",
		"count": int64(1), "firstTimestamp": format(now), "lastTimestamp": format(now), "eventTime": nil,
	}}
	o.SetAPIVersion(events.apiVersion())
	o.SetKind(events.name)
	o.SetNamespace(namespace)
	o.SetCreationTimestamp(metav1.NewTime(now))
	for at := now.UnixNano(); ; at++ {
		o.SetName(fmt.Sprintf("%s.%x", regarding.GetName(), at))
		if e.store.Get(events.GroupResource(), namespace, o.GetName()) == nil {
			return o
		}
	}
}

// same reports whether two events are of the same happening.
func same(a, b kubeapi.Object) bool {
	for _, path := range [][]string{
		{"involvedObject", "uid"},
		{"involvedObject", "kind"},
		{"involvedObject", "name"},
		{"involvedObject", "namespace"},
		{"type"},
		{"reason"},
		{"message"},
		{"source", "component"},
	} {
		if stringAt(a.Object, path...) != stringAt(b.Object, path...) {
			return false
		}
	}
	return true
}
