package standalone

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
)

// startTime is how long a replica may take before its service is shown as not ready instead of starting.
const startTime = 2 * time.Second

// show updates the screen.
func (s *Server) show() {
	var all []screen.Service
	for _, svc := range s.catalog.Services() {
		all = append(all, s.shown(svc))
	}
	s.config.Screen.Show(all)
}

// shown returns what the screen shows of a service.
func (s *Server) shown(svc *catalog.Service) screen.Service {
	all := screen.Service{Name: screen.NameOf(svc.Namespace, svc.Name), URL: s.url(svc.Name, svc.Namespace), Latest: svc.Latest.Name, State: screen.Ready}
	for _, spec := range slices.Backward(svc.Revisions) {
		r := s.revisions[idOf(spec)]
		if r == nil {
			continue
		}
		one := s.shownRevision(svc, r)
		all.Actual += one.Actual
		all.Desired += one.Desired
		if spec == svc.Latest || one.State == screen.NotReady && r.routed {
			all.State = worse(all.State, one.State)
		}
		switch {
		case spec == svc.Latest:
			all.Revisions = slices.Insert(all.Revisions, 0, one)
		case r.routed || len(r.pods) > 0:
			all.Revisions = append(all.Revisions, one)
		}
	}
	return all
}

// shownRevision returns what the screen shows of a revision of svc.
func (s *Server) shownRevision(svc *catalog.Service, r *revision) screen.Revision {
	one := screen.Revision{Name: r.Name, Actual: len(r.active()), Desired: r.desired}
	one.State, one.Reason = r.state()
	if since := s.ingress.Oldest(r.Namespace, r.Name); one.State == screen.Ready && one.Reason == "" && !since.IsZero() {
		one.Reason = slow(time.Since(since))
	}
	if r.capped { // shown even if it is ready
		one.Reason = strings.TrimPrefix(fmt.Sprintf("%s; capped by -max-replicas at %d", one.Reason, s.config.MaxReplicas), "; ")
	}
	for _, t := range svc.Traffic {
		if t.Revision != r.Name && (t.Revision != "" || s.serving[serviceKey{svc.Namespace, svc.Name}] != r.Revision) {
			continue
		}
		one.Percent += t.Percent
		if t.Tag != "" {
			one.URLs = append(one.URLs, s.url(t.Tag+"-"+svc.Name, svc.Namespace))
		}
	}
	return one
}

// url returns the URL of a service or of TAG-SERVICE, if possible one that needs no DNS.
func (s *Server) url(name, namespace string) string {
	return s.urlOf(name + "." + namespace + "." + s.config.shownDomain())
}

// urlOf is the URL of a host that leads to the ingress.
func (s *Server) urlOf(host string) string {
	return "http://" + host + ":" + strconv.Itoa(s.config.Port)
}

// steps are the ages of a request without a response that the screen tells apart: a line for each second would be too many.
var steps = [...]time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute}

// slow returns a remark on an app whose oldest request without a response has that age: it may hang.
func slow(age time.Duration) string {
	why := ""
	for _, step := range steps {
		if age >= step {
			why = "a request has had no response for more than " + strings.Replace(step.String(), "m0s", "m", 1)
		}
	}
	return why
}

// worse returns the state that is further from ready.
func worse(a, b screen.State) screen.State {
	for _, s := range []screen.State{screen.NotReady, screen.Starting} {
		if a == s || b == s {
			return s
		}
	}
	return screen.Ready
}

// pulling is why a revision isn't ready yet.
const pulling = "its images are looked for, and pulled if they aren't here"

// state returns the state of r, and why it isn't ready.
func (r *revision) state() (screen.State, string) {
	active := r.active()
	switch {
	case r.readyPods() > 0:
		return screen.Ready, r.stuck()
	case r.missing != "":
		return screen.NotReady, r.missing
	case r.unpulled != "":
		return screen.NotReady, r.unpulled
	case r.pulling:
		return screen.Starting, pulling
	case r.desired == 0:
		return screen.Ready, ""
	case r.failure != "" && len(active) == 0:
		return screen.NotReady, r.failure
	}
	for _, p := range active {
		if p.crashes > 0 || time.Since(p.launched) > startTime {
			return screen.NotReady, p.reason
		}
	}
	return screen.Starting, ""
}

// showCapped shows, once, that -max-replicas limits r.
func (s *Server) showCapped(r *revision, capped bool) {
	if capped && !r.capped {
		s.config.Screen.Line(fmt.Sprintf("%s: the autoscaler wants %d replicas; -max-replicas %d is the most for service %s",
			r.Name, r.desired, s.config.MaxReplicas, r.Service))
	}
	r.capped = capped
}

// showColdStart shows the phases of a cold start. All requests that waited for it count as one.
func (s *Server) showColdStart(c activator.ColdStart) {
	r := s.revisions[c.Revision]
	if r == nil || r.coldShown {
		return
	}
	for _, p := range r.pods {
		if p.name == c.Pod {
			r.coldShown = true
			line := coldLine(r.Name, c, p.appStarted)
			s.config.Screen.Line(line)
			s.recordRevision(r, objects.Normal, "ColdStart", line, fromActivator)
			return
		}
	}
}

// coldLine formats the phases of a cold start. The app counts as listening when the activator's probe passes.
func coldLine(name string, c activator.ColdStart, started time.Time) string {
	if started.Before(c.Queued) {
		started = c.Queued // the process was already running
	}
	if started.After(c.Granted) {
		started = c.Granted
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
	return fmt.Sprintf("cold start of %s: queued → process started %s → app listening %s → first byte %s; %s in all",
		name, ms(started.Sub(c.Queued)), ms(c.Granted.Sub(started)), ms(c.FirstByte.Sub(c.Granted)), ms(c.FirstByte.Sub(c.Queued)))
}
