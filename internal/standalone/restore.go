package standalone

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

// restore declares what was saved of what clients of the API had declared, and restores all revisions. A service that can't be
// served any more, since its program is gone, say, stays in the API until it is changed or deleted; nothing else fails.
func (s *Server) restore() {
	s.api.putNamespace(metav1.NamespaceDefault)
	if err := s.catalog.Restore(s.savedRevisions()); err != nil {
		for line := range strings.Lines(err.Error()) {
			s.config.Screen.Line("sluice: of the saved state: " + strings.TrimSpace(line))
		}
	}
	for _, svc := range s.catalog.Services() {
		if o := s.api.store.Get(services, svc.Namespace, svc.Name); o != nil {
			name, _, _ := unstructured.NestedString(o.Object, "status", "latestReadyRevisionName")
			if r := svc.Revision(name); r != nil { // it serves until the latest is ready
				s.serving[serviceKey{svc.Namespace, svc.Name}] = r
			}
		}
	}
	next := s.declared.clone()
	next.files = map[objectKey]bool{}
	for _, o := range s.api.saved.Objects {
		r := kinds()[o.GroupVersionKind()]
		switch key := (serviceKey{o.GetNamespace(), o.GetName()}); {
		case !slices.Contains(declaredResources, r):
		case o.FromFile:
			next.files[objectKey{r, key.namespace, key.name}] = true // it goes unless a file still names it
		case r == services:
			read, _, err := manifest.ReadService(o.Object)
			if err == nil {
				next.services[key] = []manifest.Service{read}
				_, err = s.plan(next)
			}
			if err != nil {
				delete(next.services, key)
				s.notRestored(o.Unstructured, err)
			}
		case eventingKind(r) != "":
			read, _, err := manifest.ReadEventing(o.Object)
			if err == nil {
				next.eventing[read.Key()] = read
				_, err = s.plan(next)
			}
			if err != nil {
				next.remove(objectKey{r, key.namespace, key.name})
				s.notRestored(o.Unstructured, err)
				s.kept = true
			}
		default:
			read, _, err := manifest.ReadObject(o.Object)
			if err != nil {
				s.notRestored(o.Unstructured, err)
				continue
			}
			next.objects[read.Key()] = read
		}
	}
	s.declared = next
	s.api.saved.Objects = nil
}

// notRestored shows why a saved object has no effect, in the API as a condition.
func (s *Server) notRestored(o kubeapi.Object, err error) {
	s.config.Screen.Line(fmt.Sprintf("sluice: %s %s of the saved state is not served: %v: change or delete it", o.GetKind(), o.GetName(), err))
	if r := kinds()[o.GroupVersionKind()]; r == services || eventingKind(r) != "" {
		o = o.DeepCopy()
		why := map[string]any{
			"type": "Ready", "status": string(objects.False), "reason": "NotServed", "message": err.Error(),
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}
		_ = unstructured.SetNestedSlice(o.Object, []any{why}, "status", "conditions") // fails if status is no mapping
		s.api.store.Put(r, o)
	}
}

// savedRevisions returns the revisions that were saved, of each service the oldest first.
func (s *Server) savedRevisions() []catalog.Stored {
	all := map[serviceKey]*catalog.Stored{}
	list, _ := s.api.store.List(revisions, "")
	for _, o := range list {
		template, err := manifest.ReadRevision(o.Object)
		object, generation, wrong := objects.Template(o)
		if err := errors.Join(err, wrong); err != nil {
			s.notRestored(o, err)
			continue
		}
		key := serviceKey{o.GetNamespace(), o.GetLabels()[knative.LabelService]}
		of := all[key]
		if of == nil {
			of = &catalog.Stored{Namespace: key.namespace, Name: key.name}
			if svc := s.api.store.Get(services, key.namespace, key.name); svc != nil {
				of.Latest, _, _ = unstructured.NestedString(svc.Object, "status", "latestCreatedRevisionName")
			}
			all[key] = of
		}
		of.Revisions = append(of.Revisions, catalog.Revision{
			Name: o.GetName(), Template: template, Object: object, Generation: generation, Created: o.GetCreationTimestamp().Time,
		})
	}
	var sorted []catalog.Stored
	for _, of := range all {
		slices.SortFunc(of.Revisions, func(a, b catalog.Revision) int { return cmp.Compare(a.Generation, b.Generation) })
		sorted = append(sorted, *of)
	}
	return sorted
}

// kinds has the resource of each kind of the API.
var kinds = sync.OnceValue(func() map[schema.GroupVersionKind]schema.GroupResource {
	all := map[schema.GroupVersionKind]schema.GroupResource{}
	for _, k := range objects.Kinds() {
		all[k.GroupVersion().WithKind(k.Kind)] = k.GroupResource()
	}
	return all
})

// putFiles puts the objects of files into the store, and removes those that no file names any more.
func (a *api) putFiles(before, now *declared) {
	if a == nil {
		return
	}
	for key := range before.files {
		if !now.files[key] {
			a.store.Delete(key.resource, key.namespace, key.name)
		}
	}
	for key := range now.files {
		a.putFile(key.resource, now.object(key))
	}
}

// putFile puts an object of a file; what a cluster would have recorded of it stays.
func (a *api) putFile(r schema.GroupResource, object map[string]any) {
	next := (&unstructured.Unstructured{Object: object}).DeepCopy()
	manifest.Default(next.Object)
	a.putNamespace(next.GetNamespace())
	old := a.store.Get(r, next.GetNamespace(), next.GetName())
	if old != nil {
		if status, ok := old.Object["status"]; ok {
			next.Object["status"] = status
		}
	}
	store.Prepare(old, next)
	a.store.Put(r, next)
}

// putNamespace makes a namespace if there is none.
func (a *api) putNamespace(name string) {
	if a.store.Get(namespaces, "", name) != nil {
		return
	}
	o := newNamespace(name)
	store.Prepare(nil, o)
	a.store.Put(namespaces, o)
}

// newNamespace returns a namespace with the label that Kubernetes sets.
func newNamespace(name string) kubeapi.Object {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "status": map[string]any{"phase": "Active"}}}
	o.SetName(name)
	o.SetLabels(map[string]string{"kubernetes.io/metadata.name": name})
	return o
}
