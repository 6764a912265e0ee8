package standalone

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// Components that events come from.
const (
	fromAutoscaler = "autoscaler"
	fromActivator  = "activator"
	fromKubelet    = "kubelet"
	fromBroker     = "broker"
)

// recordPod records an event of a pod for the API.
func (s *Server) recordPod(r *revision, p *pod, kind objects.EventKind, reason, message string) {
	if s.api == nil {
		return
	}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod"}}
	o.SetNamespace(r.Namespace)
	o.SetName(p.name)
	o.SetUID(types.UID(p.uid))
	s.record(o, kind, reason, message, fromKubelet)
}

// recordRevision records an event of a revision for the API.
func (s *Server) recordRevision(r *revision, kind objects.EventKind, reason, message, component string) {
	if s.api == nil {
		return
	}
	if r.source != nil {
		if o := s.api.store.Get(eventingResources[r.source.Kind], r.Namespace, r.source.Name); o != nil {
			s.record(o, kind, reason, message, component)
		}
		return
	}
	o := s.api.store.Get(revisions, r.Namespace, r.Name)
	if o == nil { // it is being made
		o = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "serving.knative.dev/v1", "kind": "Revision"}}
		o.SetNamespace(r.Namespace)
		o.SetName(r.Name)
	}
	s.record(o, kind, reason, message, component)
}

func (s *Server) record(o kubeapi.Object, kind objects.EventKind, reason, message, component string) {
	s.api.events.Record(time.Now(), o, kind, reason, message, component)
}

// recordDrop records that a trigger doesn't deliver an event; the log has it, too.
func (s *Server) recordDrop(d drop) {
	if s.api == nil {
		return
	}
	if o := s.api.store.Get(eventingResources[manifest.KindTrigger], d.trigger.Namespace, d.trigger.Name); o != nil {
		s.record(o, objects.Warning, "EventDropped", d.why, fromBroker)
	}
}

// recordEvent records what has happened to a process of a pod, in Kubernetes' words.
func (s *Server) recordEvent(r *revision, p *pod, e replica.Event, why string) {
	switch e.Kind {
	case replica.Started:
		if c := p.container(e.Process); c != nil {
			s.recordPod(r, p, objects.Normal, "Started", "Started container "+c.state.Name)
		}
	case replica.Exited, replica.Failed:
		reason := "BackOff"
		if e.RestartIn == 0 {
			reason = "Failed"
		}
		s.recordPod(r, p, objects.Warning, reason, why)
	case replica.Strayed, replica.Silent, replica.Taken:
		s.recordPod(r, p, objects.Warning, "Unhealthy", why)
	case replica.Line, replica.Completed, replica.Listens:
	}
}

// recordScale records that the autoscaler wants another number of replicas.
func (s *Server) recordScale(r *revision, before int) {
	if before != r.desired {
		s.recordRevision(r, objects.Normal, "Scaled", fmt.Sprintf("from %d to %d replicas", before, r.desired), fromAutoscaler)
	}
}
