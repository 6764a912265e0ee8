package standalone

import (
	"strconv"

	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// snapshot returns the state of a service for the API; object is the Service as stored.
func (s *Server) snapshot(svc *catalog.Service, object kubeapi.Object) objects.Service {
	o := objects.Service{
		Object:        object,
		Node:          nodeName(),
		URL:           s.url(svc.Name, svc.Namespace),
		Address:       clusterURL(svc.Namespace, svc.Name),
		LatestCreated: svc.Latest.Name,
	}
	serving := svc.Latest
	if old := s.serving[serviceKey{svc.Namespace, svc.Name}]; old != nil {
		serving = old
	}
	for _, spec := range svc.Revisions {
		r := s.revisions[idOf(spec)]
		if r == nil {
			continue
		}
		one := r.object()
		// Without the one that serves it is the newest of the older ones.
		if one.Ready == objects.True && (spec == serving || spec != svc.Latest && o.LatestReady != serving.Name) {
			o.LatestReady = spec.Name
		}
		o.Revisions = append(o.Revisions, one)
	}
	for _, t := range svc.Traffic {
		target := objects.Traffic{Revision: t.Revision, Latest: t.Revision == "", Percent: int64(t.Percent), Tag: t.Tag}
		if target.Latest {
			target.Revision = serving.Name
		}
		if t.Tag != "" {
			target.URL = s.url(t.Tag+"-"+svc.Name, svc.Namespace)
		}
		o.Traffic = append(o.Traffic, target)
	}
	return o
}

// object returns the revision's state for the API.
func (r *revision) object() objects.Revision {
	spec := r.scaler.Spec()
	o := objects.Revision{
		Template: r.Object, Name: r.Name, Generation: int64(r.Generation), Created: r.Created, Routed: r.routed,
		Desired: int64(r.desired), Actual: int64(r.readyPods()), MinScale: int64(spec.Min), MaxScale: int64(spec.Max),
	}
	switch reason, message := r.broken(); {
	case reason != "":
		o.Ready, o.Reason, o.Message = objects.False, reason, message
	case r.pulling && !r.warm:
		o.Ready, o.Reason, o.Message = objects.Unknown, "ResolvingDigests", pulling
	case !r.warm:
		o.Ready, o.Reason, o.Message = objects.Unknown, "Deploying", "its first replicas are starting"
	default:
		o.Ready = objects.True
	}
	for _, p := range r.pods {
		o.Pods = append(o.Pods, p.object())
	}
	return o
}

// broken returns why r can't serve, or "": a replica that is slow to start may yet. The reasons are Knative's, such as ExitCode1, and
// Kubernetes' for what else happens to a container.
func (r *revision) broken() (reason, message string) {
	if r.missing != "" {
		return "CreateContainerConfigError", r.missing
	}
	if r.readyPods() > 0 {
		return "", ""
	}
	if r.unpulled != "" {
		return "ContainerMissing", r.unpulled
	}
	for _, p := range r.active() {
		switch c := p.container(replica.App); {
		case p.crashes > 0 && c.state.EndReason == replica.OOMKilled:
			return replica.OOMKilled, p.reason
		case p.crashes > 0:
			return "ExitCode" + strconv.FormatInt(c.state.ExitCode, 10), p.reason
		case !p.strayed.IsZero():
			return "NotListening", p.reason
		}
	}
	if r.failure != "" && len(r.active()) == 0 && r.desired > 0 {
		return "CreateContainerError", r.failure
	}
	return "", ""
}
