package standalone

import (
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/ingress"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// revision is a revision with its scaler and its replicas.
type revision struct {
	*catalog.Revision
	id     throttler.RevisionID
	scaler *autoscaler.Scaler
	pods   []*pod             // oldest first, including those that are ending
	made   int                // number of pods launched so far
	source *manifest.Eventing // a ContainerSource, which gets no requests and isn't scaled; nil: it is a Service's

	options manifest.Options
	version int      // counts the restarts: a pod of an earlier one is to be replaced
	files   []string // programs and directories whose change restarts it

	images   []*manifest.Container // that run in containers
	pulled   bool                  // images are here
	pulling  bool
	unpulled string // why one of images isn't here
	pinned   bool   // the app listens on its containerPort only
	rebound  bool   // so it does, and each replica gets another port in its place

	desired     int
	capped      bool   // -max-replicas is less than desired
	routed      bool   // a route leads to it
	latest      bool   // it is its service's newest
	warm        bool   // its images are here, and its initial number of replicas has been ready
	coldShown   bool   // the latest cold start has been shown
	failure     string // why the latest replica ended by itself
	failures    int    // in a row
	missing     string // the ConfigMap, Secret or key without which no replica can start
	unavailable string // the reason in the activator why no replica will become ready
	notBefore   time.Time
	report      report    // the activator's latest
	forgotten   time.Time // until then reports have load of before a scale to zero
	sampled     bool      // a sample includes report
}

func idOf(r *catalog.Revision) throttler.RevisionID {
	return throttler.RevisionID{Namespace: r.Namespace, Name: r.Name}
}

// reconcile updates revisions and routes to those of the catalog.
func (s *Server) reconcile() {
	now := time.Now()
	wanted := map[throttler.RevisionID]bool{}
	for _, svc := range s.catalog.Services() {
		for _, r := range svc.Revisions {
			id := idOf(r)
			wanted[id] = true
			if old := s.revisions[id]; old == nil || old.Revision != r {
				s.add(r, now)
				if here := s.revisions[id]; r == svc.Latest && len(here.images) > 0 && !here.pinned {
					here.warm = false
				}
			}
			s.revisions[id].latest = r == svc.Latest
		}
	}
	s.reconcileSources(wanted)
	for id, r := range s.revisions {
		if !wanted[id] {
			s.remove(r)
		}
	}
	for _, r := range s.revisions {
		before := r.missing
		r.missing = ""
		if missing := r.Template.Missing(r.Namespace, s.declared.objects); len(missing) > 0 {
			r.missing = missing[0].Why
		}
		if before != "" && r.missing == "" { // a request that comes now should not fail because of the back-off
			r.forgive()
			s.publishUnavailable(r)
		}
		if options := s.catalog.Options(r.Revision); options != r.options { // its service's annotations
			before := r.options
			r.options = options
			s.publishRevision(r)
			before.Affinity, before.AffinityOrder = options.Affinity, options.AffinityOrder // replicas don't know of them
			if before != options {
				s.replace(r, "its annotations have changed")
			}
		}
	}
	s.route()
	s.scaleAll(now)
	s.reconcileBrokers()
	s.reconcilePingers()
	s.show()
}

func (s *Server) add(r *catalog.Revision, now time.Time) {
	id := idOf(r)
	if old := s.revisions[id]; old != nil {
		s.remove(old) // its service was deleted and created again
	}
	scaling := r.Scaling
	scaling.Initial = min(scaling.Initial, s.config.MaxReplicas) // a higher number would never be reached
	s.revisions[id] = &revision{
		Revision: r, id: id, images: imagesOf(r), scaler: autoscaler.New(scaling, now), warm: max(scaling.Initial, scaling.Min) == 0, options: s.catalog.Options(r),
	}
	s.inheritPort(s.revisions[id])
	s.publishRevision(s.revisions[id])
}

// publishRevision tells the activator of r.
func (s *Server) publishRevision(r *revision) {
	t := &r.Template
	spec := activator.Revision{
		ID:            r.id,
		Affinity:      r.options.Affinity,
		AffinityOrder: r.options.AffinityOrder,
		Limit:         t.ContainerConcurrency,
		Timeouts:      proxy.Timeouts{Total: t.Timeout, ResponseStart: t.ResponseStart, Idle: t.Idle},
		Service:       r.Service,
		Configuration: r.Service,
	}
	if t.Container.H2C {
		spec.Proto = proxy.HTTP2 // as Knative's gateways do
	}
	s.activator.UpdateRevision(spec)
}

// remove ends a revision whose service is gone. Its replicas finish their requests.
func (s *Server) remove(r *revision) {
	delete(s.revisions, r.id)
	for _, p := range slices.Clone(r.pods) {
		s.terminate(r, p)
	}
	if r.source == nil {
		s.activator.DeleteRevision(r.id)
	}
	s.programs.forget(r.id)
}

// route publishes the routes to the ingress. A new revision gets traffic when its images are here and the initial number of its
// replicas is ready, as in Knative; until then the previous revision keeps it.
func (s *Server) route() {
	var routes []ingress.Route
	routed := map[throttler.RevisionID]bool{}
	serving := map[serviceKey]*catalog.Revision{}
	for _, svc := range s.catalog.Services() {
		key := serviceKey{svc.Namespace, svc.Name}
		latest := svc.Latest
		if old := s.serving[key]; old != nil && slices.Contains(svc.Revisions, old) && s.warming(latest) {
			latest = old
		}
		serving[key] = latest
		route := ingress.Route{Namespace: svc.Namespace, Service: svc.Name}
		for _, r := range svc.Revisions {
			route.Revisions = append(route.Revisions, r.Name)
		}
		for _, t := range svc.Traffic {
			name := t.Revision
			if name == "" {
				name = latest.Name
				routed[idOf(svc.Latest)] = true // the autoscaler has to start it
			}
			route.Targets = append(route.Targets, ingress.Target{Revision: name, Percent: t.Percent, Tag: t.Tag})
			if t.Percent > 0 || t.Tag != "" {
				routed[throttler.RevisionID{Namespace: svc.Namespace, Name: name}] = true
			}
		}
		routes = append(routes, route)
	}
	s.serving = serving
	for id, r := range s.revisions {
		r.routed = routed[id]
	}
	s.ingress.SetRoutes(routes)
}

// warming reports whether r has to become ready before it gets traffic.
func (s *Server) warming(r *catalog.Revision) bool {
	here := s.revisions[idOf(r)]
	return here != nil && !here.warm
}

// warmed marks r as warm if its initial number of replicas is ready, or as many as -max-replicas allows.
func (s *Server) warmed(r *revision) {
	if r.warm {
		return
	}
	ready, spec := r.readyPods(), r.scaler.Spec()
	if ready >= max(spec.Initial, spec.Min) || r.capped && ready > 0 && ready == len(r.active()) {
		r.warm = true
		s.route()
	}
}

// sibling reports whether other is another revision of the same service.
func (r *revision) sibling(other *revision) bool {
	return r != other && r.source == nil && other.source == nil && r.Namespace == other.Namespace && r.Service == other.Service
}

// forgive ends r's back-off, and forgets why.
func (r *revision) forgive() { r.failures, r.failure, r.notBefore = 0, "", time.Time{} }

func (r *revision) readyPods() (n int) {
	for _, p := range r.pods {
		if p.ready && !p.ending {
			n++
		}
	}
	return n
}

// active returns the pods that are not ending.
func (r *revision) active() []*pod {
	return slices.DeleteFunc(slices.Clone(r.pods), func(p *pod) bool { return p.ending })
}
