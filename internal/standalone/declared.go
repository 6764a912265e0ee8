package standalone

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
)

// declared is what manifests and the clients of the API have declared. It doesn't change: with… return another one.
type declared struct {
	// services has the documents of each Service, in their order: several only from a file.
	services map[serviceKey][]manifest.Service
	objects  manifest.Objects
	eventing map[manifest.EventingKey]*manifest.Eventing
	// files are the objects that files name. A client may have changed one, or deleted it, since they were read.
	files map[objectKey]bool
}

// clone returns a copy whose maps can be changed.
func (d *declared) clone() *declared {
	c := *d
	c.services, c.objects, c.eventing = cloned(d.services), cloned(d.objects), cloned(d.eventing)
	return &c
}

func cloned[M ~map[K]V, K comparable, V any](m M) M {
	c := maps.Clone(m)
	if c == nil {
		c = M{}
	}
	return c
}

// docs returns the documents of all Services.
func (d *declared) docs() []manifest.Service {
	var all []manifest.Service
	for _, key := range slices.SortedFunc(maps.Keys(d.services), compareKeys) {
		all = append(all, d.services[key]...)
	}
	return all
}

func compareKeys(a, b serviceKey) int {
	return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
}

// withFiles returns d with the manifests of files in the place of those of before.
func (d *declared) withFiles(set manifest.Set) *declared {
	next := d.clone()
	next.files = map[objectKey]bool{}
	for key := range d.files {
		next.remove(key)
	}
	for i := range set.Services {
		svc := &set.Services[i]
		key := objectKey{services, svc.Namespace, svc.Name}
		if !next.files[key] {
			next.remove(key) // a client's
			next.files[key] = true
		}
		next.services[key.service()] = append(next.services[key.service()], *svc)
	}
	for key, o := range set.Objects {
		next.objects[key] = o
		next.files[objectKey{resourceOf(key.Kind), key.Namespace, key.Name}] = true
	}
	for key, e := range set.Eventing {
		next.eventing[key] = e
		next.files[objectKey{eventingResources[key.Kind], key.Namespace, key.Name}] = true
	}
	return next
}

func (k objectKey) service() serviceKey { return serviceKey{k.namespace, k.name} }

// remove removes an object.
func (d *declared) remove(key objectKey) {
	kind := eventingKind(key.resource)
	switch {
	case key.resource == services:
		delete(d.services, key.service())
	case kind != "":
		delete(d.eventing, manifest.EventingKey{Kind: kind, Namespace: key.namespace, Name: key.name})
	default:
		delete(d.objects, manifest.ObjectKey{Kind: kindOf(key.resource), Namespace: key.namespace, Name: key.name})
	}
}

// object returns an object as declared: the last document of a Service.
func (d *declared) object(key objectKey) map[string]any {
	if key.resource == services {
		docs := d.services[key.service()]
		return docs[len(docs)-1].Object
	}
	if kind := eventingKind(key.resource); kind != "" {
		return d.eventing[manifest.EventingKey{Kind: kind, Namespace: key.namespace, Name: key.name}].Object
	}
	return d.objects[manifest.ObjectKey{Kind: kindOf(key.resource), Namespace: key.namespace, Name: key.name}].Object
}

func resourceOf(kind manifest.SourceKind) schema.GroupResource {
	if kind == manifest.FromSecret {
		return secrets
	}
	return configMaps
}

func kindOf(r schema.GroupResource) manifest.SourceKind {
	if r == secrets {
		return manifest.FromSecret
	}
	return manifest.FromConfigMap
}
