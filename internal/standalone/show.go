package standalone

import (
	"fmt"
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
	var rows []screen.Row
	for _, svc := range s.catalog.Services() {
		rows = append(rows, s.row(svc))
	}
	s.config.Screen.Show(rows)
}

func (s *Server) row(svc *catalog.Service) screen.Row {
	row := screen.Row{
		Service: svc.Name,
		URL:     "http://" + s.ingress.Host(svc.Name, svc.Namespace) + ":" + strconv.Itoa(s.config.Port),
		Latest:  svc.Latest.Name,
		Ready:   screen.Ready,
	}
	if svc.Namespace != "default" {
		row.Service = svc.Namespace + "/" + svc.Name
	}
	for _, spec := range svc.Revisions {
		r := s.revisions[idOf(spec)]
		if r == nil {
			continue
		}
		row.Actual += len(r.active())
		row.Desired += r.desired
		state, reason := r.state()
		if r.capped { // shown even if it is ready
			reason = strings.TrimPrefix(fmt.Sprintf("%s; capped by -max-replicas at %d", reason, s.config.MaxReplicas), "; ")
		}
		if reason != "" && spec != svc.Latest {
			reason = r.Name + ": " + reason
		}
		if row.Reason == "" {
			row.Reason = reason
		}
		if spec == svc.Latest || state == screen.NotReady && r.routed {
			row.Ready = worse(row.Ready, state)
		}
	}
	return row
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

// state returns the state of r, and why it isn't ready.
func (r *revision) state() (screen.State, string) {
	active := r.active()
	switch {
	case r.readyPods() > 0 || r.desired == 0:
		return screen.Ready, r.stuck()
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
