package standalone

import (
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

// publisher puts the state of services into the store of the API, as the objects of a cluster.
type publisher struct {
	store    *store.Store
	services map[serviceKey]*published
	eventing map[objectKey]*publishedEventing
}

// publishedEventing is what the store has of an object of Eventing.
type publishedEventing struct {
	object store.Object
	state  objects.Eventing
	keys   map[objectKey]bool
}

// published is what the store has of a service.
type published struct {
	state objects.Service
	keys  map[objectKey]bool
}

// objectKey identifies an object of the store.
type objectKey struct {
	resource        schema.GroupResource
	namespace, name string
}

func newPublisher(s *store.Store) *publisher {
	return &publisher{store: s, services: map[serviceKey]*published{}, eventing: map[objectKey]*publishedEventing{}}
}

// publish puts state, of one service, if it has changed.
func (p *publisher) publish(key serviceKey, state objects.Service) {
	last := p.services[key]
	if last == nil {
		last = &published{}
		p.services[key] = last
	} else if reflect.DeepEqual(last.state, state) {
		return
	}
	keys := map[objectKey]bool{}
	for _, item := range objects.Of(state, p.store.Get, time.Now()) {
		o := p.store.Put(item.Resource, item.Object)
		keys[objectKey{item.Resource, o.GetNamespace(), o.GetName()}] = true
		if item.Resource == services {
			state.Object = o // with its status
		}
	}
	p.remove(last.keys, keys)
	last.state, last.keys = state, keys
}

// publishEventing puts the state of an object of Eventing, which is in the store, if one of them has changed.
func (p *publisher) publishEventing(key objectKey, state objects.Eventing) {
	object := p.store.Get(key.resource, key.namespace, key.name)
	last := p.eventing[key]
	switch {
	case object == nil:
		return
	case last == nil:
		last = &publishedEventing{}
		p.eventing[key] = last
	case last.object == object && reflect.DeepEqual(last.state, state):
		return
	}
	keys := map[objectKey]bool{}
	for _, item := range objects.OfEventing(key.resource, object, state, p.store.Get, time.Now()) {
		o := p.store.Put(item.Resource, item.Object)
		keys[objectKey{item.Resource, o.GetNamespace(), o.GetName()}] = true
		if item.Resource == key.resource {
			object = o
		}
	}
	p.remove(last.keys, keys)
	last.object, last.state, last.keys = object, state, keys
}

// keepEventing removes what belongs to objects of Eventing that are not among keys.
func (p *publisher) keepEventing(keys map[objectKey]bool) {
	for key, last := range p.eventing {
		if !keys[key] {
			p.remove(last.keys, nil)
			delete(p.eventing, key)
		}
	}
}

// adopt takes over an object of an earlier run that was made from a service: it stays as long as the service has it.
func (p *publisher) adopt(r schema.GroupResource, o store.Object) {
	key := serviceKey{o.GetNamespace(), o.GetLabels()[knative.LabelService]}
	if p.services[key] == nil {
		p.services[key] = &published{keys: map[objectKey]bool{}}
	}
	p.services[key].keys[objectKey{r, o.GetNamespace(), o.GetName()}] = true
}

// keep removes the objects of services that are not among keys, unless the service is in the store and isn't served.
func (p *publisher) keep(keys map[serviceKey]bool) {
	for key, last := range p.services {
		if !keys[key] && p.store.Get(services, key.namespace, key.name) == nil {
			p.remove(last.keys, nil)
			delete(p.services, key)
		}
	}
}

// remove removes the objects of old that are not among present.
func (p *publisher) remove(old, present map[objectKey]bool) {
	for key := range old {
		if !present[key] {
			p.store.Delete(key.resource, key.namespace, key.name)
		}
	}
}

// publish brings the API's objects up to date. It costs little while nothing has changed.
func (s *Server) publish() {
	s.publishEventing()
	if s.api == nil {
		return
	}
	present := map[serviceKey]bool{}
	for _, svc := range s.catalog.Services() {
		key := serviceKey{svc.Namespace, svc.Name}
		present[key] = true
		s.api.publisher.publish(key, s.snapshot(svc, s.api.store.Get(services, svc.Namespace, svc.Name)))
	}
	s.api.publisher.keep(present)
}

// applied puts into effect what has been declared, and saves it.
func (s *Server) applied() {
	s.reconcile()
	s.publish()
	s.save()
}
