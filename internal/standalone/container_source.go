package standalone

import (
	"errors"

	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/throttler"
)

// A ContainerSource runs as a revision that gets no requests: it has one replica without a queue-proxy, from when its sink is resolved.

// sourceID returns the ID of a ContainerSource's revision. No Revision can have such a name.
func sourceID(e *manifest.Eventing) throttler.RevisionID {
	return throttler.RevisionID{Namespace: e.Namespace, Name: "containersource/" + e.Name}
}

// sourceRevision returns what a ContainerSource runs, with its sink in the environment.
func (s *Server) sourceRevision(d *declared, e *manifest.Eventing) (*catalog.Revision, error) {
	source := e.ContainerSource
	r := &catalog.Revision{Namespace: e.Namespace, Name: e.Name, Template: source.Template}
	if sink := d.resolve(e.Namespace, &source.Sink); sink.URI != "" {
		r.Template = r.Template.Bind(&source.Sender, sink.URI)
	}
	return r, s.catalog.Complete(r)
}

// plan checks what d declares, and whether that may follow what is declared now.
func (s *Server) plan(d *declared) (*catalog.Plan, error) {
	plan, err := s.catalog.Plan(d.bound())
	errs := []error{err, s.declared.unchanged(d)}
	for _, e := range d.eventing {
		errs = append(errs, checkTrigger(e))
		if e.ContainerSource != nil {
			_, err := s.sourceRevision(d, e)
			errs = append(errs, err)
		}
	}
	return plan, errors.Join(errs...)
}

// reconcileSources starts, replaces and ends what ContainerSources run. It adds the IDs of their revisions to wanted.
func (s *Server) reconcileSources(wanted map[throttler.RevisionID]bool) {
	for _, e := range s.declared.eventing {
		if e.ContainerSource == nil {
			continue
		}
		id := sourceID(e)
		wanted[id] = true
		spec, err := s.sourceRevision(s.declared, e)
		if err != nil { // the plan was good, and what it has looked at is gone
			s.config.Screen.Line("sluice: ContainerSource " + e.Name + ": " + err.Error())
			continue
		}
		old := s.revisions[id]
		if old != nil && !old.Template.Equal(&spec.Template) {
			s.remove(old)
			old = nil
		}
		if old == nil {
			old = &revision{Revision: spec, id: id, images: imagesOf(spec), source: e, warm: true, options: spec.Template.Options}
			s.revisions[id] = old
		}
		old.desired = 0
		if s.declared.resolve(e.Namespace, &e.ContainerSource.Sink).URI != "" {
			old.desired = 1
		}
	}
}

func (s *Server) containerSourceState(e *manifest.Eventing) objects.ContainerSource {
	state := objects.ContainerSource{
		Sink: s.declared.resolve(e.Namespace, &e.ContainerSource.Sink), Node: nodeName(),
		Ready: objects.Condition{State: objects.Unknown, Reason: "Deploying", Message: "its containers are starting"},
	}
	r := s.revisions[sourceID(e)]
	if r == nil || r.desired == 0 {
		state.Ready = objects.Condition{State: objects.Unknown, Reason: "SinkMissing", Message: "its containers start when its sink is there"}
		return state
	}
	switch reason, message := r.broken(); {
	case reason != "":
		state.Ready = objects.Condition{State: objects.False, Reason: reason, Message: message}
	case r.readyPods() > 0:
		state.Ready = objects.Condition{State: objects.True}
	}
	for _, p := range r.pods {
		state.Pods = append(state.Pods, p.object())
	}
	return state
}
