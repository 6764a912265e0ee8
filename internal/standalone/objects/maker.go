package objects

import (
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

// maker makes the objects of one call of Of.
type maker struct {
	present   Lookup
	now       time.Time
	namespace string
	items     []Item
}

// metadata of an object to make.
type metadata struct {
	name                string
	labels, annotations map[string]string
	owner               kubeapi.Object // its controller
	uid                 string         // "": a new one
	created             time.Time      // zero: now
}

// made is an object, and what it was before: nil if it is new.
type made struct {
	kubeapi.Object
	old kubeapi.Object
}

// add makes an object of fields, which is everything but metadata and status, and adds it to the items.
func (m *maker) add(k kind, meta metadata, fields map[string]any) made {
	o := made{Object: &unstructured.Unstructured{Object: fields}, old: m.old(k, meta)}
	o.SetAPIVersion(k.apiVersion())
	o.SetKind(k.name)
	o.SetNamespace(m.namespace)
	o.SetName(meta.name)
	if len(meta.labels) > 0 {
		o.SetLabels(meta.labels)
	}
	if len(meta.annotations) > 0 {
		o.SetAnnotations(meta.annotations)
	}
	if meta.owner != nil {
		o.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(meta.owner, meta.owner.GroupVersionKind())})
	}
	created := meta.created
	if created.IsZero() {
		created = m.now
	}
	o.SetUID(types.UID(meta.uid))
	o.SetCreationTimestamp(metav1.NewTime(created))
	store.Prepare(o.old, o.Object)
	m.items = append(m.items, Item{k.GroupResource(), o.Object})
	return o
}

// old returns the present version of an object; nil if there is none, or one of the same name that is gone.
func (m *maker) old(k kind, meta metadata) kubeapi.Object {
	o := m.present(k.GroupResource(), m.namespace, meta.name)
	if o == nil {
		return nil
	}
	created := o.GetCreationTimestamp()
	switch {
	case meta.owner != nil && !metav1.IsControlledBy(o, meta.owner):
	case meta.uid != "" && string(o.GetUID()) != meta.uid:
	case !meta.created.IsZero() && created.Unix() != meta.created.Unix():
	default:
		return o
	}
	return nil
}

// condition of a status.
type condition struct {
	kind            string // its type
	status          State
	reason, message string
	info            bool // its severity is Info: it has no part in whether the object is ready
}

// conditions returns a status' conditions as JSON. Those that have the same status as in old have been so since then.
func (m *maker) conditions(old kubeapi.Object, list ...condition) []any {
	slices.SortStableFunc(list, func(a, b condition) int { return strings.Compare(a.kind, b.kind) })
	all := make([]any, 0, len(list))
	for _, c := range list {
		since := format(m.now)
		if before := ConditionOf(old, c.kind); before["status"] == string(c.status) {
			if t, ok := before["lastTransitionTime"].(string); ok {
				since = t
			}
		}
		j := map[string]any{"type": c.kind, "status": string(c.status), "lastTransitionTime": since}
		setNonzero(j, "reason", c.reason)
		setNonzero(j, "message", c.message)
		if c.info {
			j["severity"] = "Info"
		}
		all = append(all, j)
	}
	return all
}

// status returns a status with conditions of the generation that was observed.
func (m *maker) status(o made, list ...condition) map[string]any {
	return map[string]any{"observedGeneration": o.GetGeneration(), "conditions": m.conditions(o.old, list...)}
}

// ready returns the condition Ready: the first of those that are False, or else Unknown, or else True.
func ready(of ...condition) condition {
	r := condition{kind: "Ready", status: True}
	for _, c := range of {
		if c.status == False && r.status != False || c.status == Unknown && r.status == True {
			r.status, r.reason, r.message = c.status, c.reason, c.message
		}
	}
	return r
}

// ConditionOf returns a condition of an object, nil if it hasn't it or is nil.
func ConditionOf(o kubeapi.Object, kind string) map[string]any {
	if o == nil {
		return nil
	}
	for _, c := range items(o.Object, "status", "conditions") {
		if c["type"] == kind {
			return c
		}
	}
	return nil
}

// items returns a list of objects within o; nil if there is none.
func items(o map[string]any, path ...string) []map[string]any {
	field, _, _ := unstructured.NestedFieldNoCopy(o, path...)
	list, _ := field.([]any)
	var all []map[string]any
	for _, item := range list {
		if item, ok := item.(map[string]any); ok {
			all = append(all, item)
		}
	}
	return all
}

// setNonzero sets a field unless it would be zero: Kubernetes leaves those out.
func setNonzero[T comparable](o map[string]any, field string, value T) {
	var zero T
	if value != zero {
		o[field] = value
	}
}

// format returns a time as in an object's JSON.
func format(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// merged returns the union of maps; of equal keys the last counts.
func merged(all ...map[string]string) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		maps.Copy(m, a)
	}
	return m
}

// without returns m without some keys.
func without(m map[string]string, keys ...string) map[string]string {
	m = merged(m)
	for _, key := range keys {
		delete(m, key)
	}
	return m
}
