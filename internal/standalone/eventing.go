package standalone

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
)

// eventingResources has the resource of each kind of Eventing.
var eventingResources = map[manifest.EventingKind]schema.GroupResource{
	manifest.KindBroker:          {Group: "eventing.knative.dev", Resource: "brokers"},
	manifest.KindTrigger:         {Group: "eventing.knative.dev", Resource: "triggers"},
	manifest.KindPingSource:      {Group: "sources.knative.dev", Resource: "pingsources"},
	manifest.KindContainerSource: {Group: "sources.knative.dev", Resource: "containersources"},
	manifest.KindSinkBinding:     {Group: "sources.knative.dev", Resource: "sinkbindings"},
}

// eventingKind returns the kind of a resource; "": it is none of Eventing.
func eventingKind(r schema.GroupResource) manifest.EventingKind {
	for kind, resource := range eventingResources {
		if resource == r {
			return kind
		}
	}
	return ""
}

func compareEventing(a, b manifest.EventingKey) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// unchanged returns errors for what of an object of Eventing can't be changed.
func (d *declared) unchanged(next *declared) error {
	var errs []error
	for key, e := range next.eventing {
		if old := d.eventing[key]; old != nil {
			errs = append(errs, old.Unchangeable(e))
		}
	}
	return errors.Join(errs...)
}

// eventingState returns the state of an object of Eventing for the API.
func (s *Server) eventingState(e *manifest.Eventing) objects.Eventing {
	d := s.declared
	switch {
	case e.Broker != nil:
		return objects.Broker{
			Address: knative.BrokerURL(e.Namespace, e.Name), Ingress: s.running(e.Key()),
			DeadLetterSink: d.deadLetters(e.Namespace, e.Broker.Delivery),
		}
	case e.Trigger != nil:
		return s.triggerState(e)
	case e.PingSource != nil:
		return objects.PingSource{Sink: d.resolve(e.Namespace, &e.PingSource.Sink)}
	case e.ContainerSource != nil:
		return s.containerSourceState(e)
	default:
		return objects.SinkBinding{Sink: d.resolve(e.Namespace, &e.SinkBinding.Sink), Subject: d.subject(e)}
	}
}

func (s *Server) triggerState(e *manifest.Eventing) objects.Trigger {
	d, t := s.declared, e.Trigger
	state := objects.Trigger{
		Broker:     objects.Condition{State: objects.True},
		Subscriber: d.resolve(e.Namespace, &t.Subscriber),
		Subscribed: s.running(e.Key()),
		Dependency: s.dependency(e),
	}
	broker := d.eventing[manifest.EventingKey{Kind: manifest.KindBroker, Namespace: e.Namespace, Name: t.Broker}]
	if broker == nil {
		state.Broker = objects.Condition{State: objects.False, Reason: "BrokerDoesNotExist", Message: fmt.Sprintf("Broker %q does not exist", t.Broker)}
	} else {
		state.Broker = objects.ReadyOf(s.eventingState(broker))
	}
	_, state.DeadLetterSink = d.delivery(e)
	if state.Broker.State != objects.True || state.Subscriber.URI == "" {
		state.Subscribed = objects.Condition{State: objects.Unknown}
	}
	return state
}

// dependency returns whether the source that a Trigger's annotation names is ready.
func (s *Server) dependency(e *manifest.Eventing) objects.Condition {
	ref := e.Trigger.Dependency
	if ref == nil {
		return objects.Condition{State: objects.True}
	}
	source := s.declared.eventing[manifest.EventingKey{Kind: manifest.EventingKind(ref.Kind), Namespace: e.Namespace, Name: ref.Name}]
	if source == nil || source.Sender() == nil {
		return objects.Condition{
			State: objects.False, Reason: "DependencyDoesNotExist",
			Message: fmt.Sprintf("Dependency does not exist: %s %q of %s not found", ref.Kind, ref.Name, ref.APIVersion),
		}
	}
	return objects.ReadyOf(s.eventingState(source))
}

// publishEventing brings the API's objects of Eventing up to date, and shows which aren't ready.
func (s *Server) publishEventing() {
	present := map[objectKey]bool{}
	for _, key := range slices.SortedFunc(maps.Keys(s.declared.eventing), compareEventing) {
		e := s.declared.eventing[key]
		state := s.eventingState(e)
		s.showEventing(key, objects.ReadyOf(state))
		at := objectKey{eventingResources[key.Kind], key.Namespace, key.Name}
		present[at] = true
		if s.api != nil {
			s.api.publisher.publishEventing(at, state)
		}
	}
	if s.api != nil {
		s.api.publisher.keepEventing(present)
	}
	maps.DeleteFunc(s.unready, func(key manifest.EventingKey, _ string) bool { return s.declared.eventing[key] == nil })
}

// showEventing shows, when it changes, why an object of Eventing isn't ready.
func (s *Server) showEventing(key manifest.EventingKey, c objects.Condition) {
	why := ""
	if c.State == objects.False {
		why = cmp.Or(c.Message, c.Reason)
	}
	if before := s.unready[key]; before == why {
		return
	} else if before != "" && why == "" {
		s.config.Screen.Line(fmt.Sprintf("sluice: %s %s is ready", key.Kind, screen.NameOf(key.Namespace, key.Name)))
	}
	s.unready[key] = why
	if why != "" {
		s.config.Screen.Line(fmt.Sprintf("sluice: %s %s is not ready: %s", key.Kind, screen.NameOf(key.Namespace, key.Name), why))
	}
}

// admitEventing admits a write of an object of Eventing.
func (s *Server) admitEventing(w kubeapi.Write) (kubeapi.Admission, error) {
	var a kubeapi.Admission
	next := s.declared.clone()
	if next.remove(keyOf(w)); w.New != nil {
		e, unknown, err := manifest.ReadEventing(w.New.Object)
		if a.Unknown = errorsOf(unknown); err != nil {
			return a, invalid(w, err)
		}
		next.eventing[e.Key()] = e
		a.Object = defaulted(e.Object)
		one := manifest.Set{Eventing: map[manifest.EventingKey]*manifest.Eventing{e.Key(): e}, Objects: next.objects}
		a.Warnings = append(a.Warnings, s.remarker(allFields).on(one)...)
	}
	return s.declares(a, w, next, func() {})
}
