package standalone

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// readInbox handles the reports of activator and brokers: a first request starts a replica at once.
func (s *Server) readInbox() {
	l := s.inbox.take()
	for id, rep := range l.stats {
		r := s.revisions[id]
		if r == nil || rep.at.Before(r.forgotten) {
			continue
		}
		r.keepReport(rep)
		if rep.stat.GetAverageConcurrentRequests() > 0 {
			s.fromZero(r, rep.at, autoscaler.Observe(nil, 0, rep.stat))
		}
	}
	for id := range l.held {
		if r := s.revisions[id]; r != nil {
			s.fromZero(r, time.Now(), autoscaler.Sample{Concurrency: 1, RPS: 1})
		}
	}
	for _, c := range l.colds {
		s.showColdStart(c)
	}
	for _, d := range l.drops {
		s.recordDrop(d)
	}
}

// keepReport keeps the activator's report for the next sample. Reports and samples are not synchronized: of two reports
// between two samples the one with more load counts, so that no burst is lost.
func (r *revision) keepReport(rep report) {
	if !r.sampled && r.report.stat.GetAverageConcurrentRequests() > rep.stat.GetAverageConcurrentRequests() {
		rep.stat = r.report.stat
	}
	r.report, r.sampled = rep, false
}

// fromZero starts a replica for a request of a revision whose desired number is zero.
func (s *Server) fromZero(r *revision, now time.Time, load autoscaler.Sample) {
	if r.desired > 0 {
		return
	}
	r.scaler.Record(now, load)
	s.scale(r, now)
}

// reportAge is how old a report may be to count for the current second: there is one each second.
const reportAge = 1500 * time.Millisecond

// sample records the load of the last second. It records nothing for a revision without replicas and reports, so that the
// first burst isn't averaged with zeros.
func (s *Server) sample(now time.Time) {
	at := s.align(now)
	if s.api != nil {
		s.api.events.Prune(now)
	}
	for _, r := range s.revisions {
		if r.source != nil {
			continue
		}
		s.publishUnavailable(r) // strayedFor may have passed
		var stats []*statpb.Stat
		for _, p := range r.pods {
			if p.ready && now.Sub(p.report.at) < reportAge {
				stats = append(stats, p.report.stat)
			}
		}
		var own *statpb.Stat // the activator's
		if now.Sub(r.report.at) < reportAge {
			own = r.report.stat
		}
		r.sampled = true
		if own != nil || len(r.pods) > 0 {
			r.scaler.Record(at, autoscaler.Observe(stats, r.readyPods(), own))
		}
	}
}

// align returns the second of a sample, each in turn although the ticker jitters.
func (s *Server) align(now time.Time) time.Time {
	s.sampled = s.sampled.Add(time.Second)
	if off := now.Sub(s.sampled); off < -time.Second/2 || off > time.Second/2 {
		s.sampled = now
	}
	return s.sampled
}

func (s *Server) scaleAll(now time.Time) {
	for _, r := range s.revisions {
		s.scale(r, now)
	}
}

// scale updates the desired number of replicas and converges to it.
func (s *Server) scale(r *revision, now time.Time) {
	if r.source != nil {
		s.converge(r)
		return
	}
	stats, _ := s.activator.Stats(r.id)
	d := r.scaler.Tick(now, autoscaler.Pods{
		Ready:     r.readyPods(),
		Busy:      stats.Waiting > 0 || stats.InFlight > 0,
		Reachable: r.routed,
	})
	before := r.desired
	r.desired = d.Desired
	s.recordScale(r, before)
	s.converge(r)
}

// converge launches or ends replicas to reach the desired number, within -max-replicas for the whole service.
func (s *Server) converge(r *revision) {
	if s.ending || s.revisions[r.id] != r {
		return
	}
	s.fetchEarly(r)
	if r.desired == 0 && len(r.pods) == 0 { // as most are, when there are many: the rest looks at all others for each
		s.showCapped(r, false)
		r.coldShown = false
		return
	}
	room := s.config.MaxReplicas
	for _, other := range s.revisions {
		if r.sibling(other) {
			room -= len(other.active()) - other.extra()
		}
	}
	active := r.active()
	if room <= 0 && len(active) == 0 && r.desired > 0 {
		room = s.makeRoom(r)
	}
	room = max(room, 0)
	target := min(r.desired, room)
	s.showCapped(r, r.desired > room)

	if len(active) == 0 {
		r.coldShown = false
	}
	allowed := s.endOutdated(r, target)
	current := r.current()
	for n := len(current); n < allowed && !time.Now().Before(r.notBefore) && s.fetched(r) && s.portFree(r); n++ {
		if err := s.launch(r); err != nil {
			s.failed(r, err.Error())
			break
		}
	}
	for n := len(current); n > target; n-- {
		s.terminate(r, surplus(r.current()))
	}
}

// makeRoom ends a replica of another revision of the service, so that r can have its first despite -max-replicas. It
// returns how many r may have.
func (s *Server) makeRoom(r *revision) int {
	var most *revision
	for _, other := range s.revisions {
		if r.sibling(other) &&
			len(other.active()) > 1 && (most == nil || len(other.active()) > len(most.active())) {
			most = other
		}
	}
	if most == nil {
		return 0
	}
	s.terminate(most, surplus(most.active()))
	return 1
}

// surplus picks the replica to end, of pods that are sorted by age; of equals the youngest.
func surplus(pods []*pod) *pod {
	slices.Reverse(pods)
	return slices.MinFunc(pods, compareSurplus)
}

// compareSurplus puts what is to end first: a replica that isn't ready, else one with the least load.
func compareSurplus(a, b *pod) int {
	switch {
	case a.ready != b.ready && !a.ready:
		return -1
	case a.ready != b.ready:
		return 1
	}
	return cmp.Compare(a.load, b.load)
}
