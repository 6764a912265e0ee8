package autoscaler

import "time"

// Sample is the load of a revision, averaged over about a second.
type Sample struct {
	Concurrency float64 // requests in flight, those that wait included
	RPS         float64 // requests per second
}

// Pods is what Tick must know of a revision's replicas.
type Pods struct {
	Ready int
	// Busy says that some request is in flight or waiting. The last replica stays while it is true.
	Busy bool
	// Reachable says that some route leads to the revision. Otherwise min-scale doesn't hold.
	Reachable bool
}

// Decision is what Tick says.
type Decision struct {
	Desired       int
	Panicking     bool
	Stable, Panic float64 // averages that led to it
	Active        bool    // false: on its way to zero, or there
}

// Scaler decides for one revision.
type Scaler struct {
	spec    Spec
	stable  *window
	panic   *window // of its own, as in Knative: it is empty sooner after a scale to zero, and a burst then counts in full
	decider *Decider

	started bool      // initial scale was reached
	active  bool      // load, or the initial scale, wants a replica
	since   time.Time // of active, or of its end
	last    Decision
}

// New makes a Scaler for a revision that begins now, with the initial scale.
func New(s Spec, now time.Time) *Scaler {
	sc := &Scaler{
		spec: s, stable: newWindow(s.StableWindow), panic: newWindow(s.PanicWindow), decider: NewDecider(s),
		since: now, started: s.Initial == 0, active: s.Initial > 0,
	}
	sc.last.Desired = s.Initial
	return sc
}

// Spec is what the Scaler was made with.
func (s *Scaler) Spec() Spec { return s.spec }

// Record adds a sample taken at about now.
func (s *Scaler) Record(now time.Time, load Sample) {
	v := load.Concurrency
	if s.spec.Metric == RPS {
		v = load.RPS
	}
	s.stable.record(now, v)
	s.panic.record(now, v)
}

// Tick decides. Calls must come in the order of time, every few seconds; between them a decision holds.
func (s *Scaler) Tick(now time.Time, p Pods) Decision {
	stable, ok := s.stable.average(now)
	burst, _ := s.panic.average(now)
	desired := 0
	if ok {
		desired = s.decider.Decide(now, p.Ready, stable, burst, p.Reachable)
	}
	desired = s.bound(desired, p.Reachable)
	if s.started = s.started || p.Ready >= s.spec.Initial; !s.started {
		desired = max(desired, s.spec.Initial)
	}
	desired = s.wayToZero(now, desired, p)
	s.last = Decision{Desired: desired, Panicking: s.decider.Panicking(), Stable: stable, Panic: burst, Active: s.active}
	return s.last
}

// Last is the latest decision; before the first, the initial scale.
func (s *Scaler) Last() Decision { return s.last }

func (s *Scaler) bound(desired int, reachable bool) int {
	if reachable {
		desired = max(desired, s.spec.Min)
	}
	if s.spec.Max > 0 {
		desired = min(desired, s.spec.Max)
	}
	return desired
}

// wayToZero keeps the last replica until the revision has been active for a stable window at least, then inactive for
// the grace, and nobody needs it.
func (s *Scaler) wayToZero(now time.Time, desired int, p Pods) int {
	if desired > 0 {
		if !s.active {
			s.active, s.since = true, now
		}
		return desired
	}
	if s.last.Desired == 0 && !p.Busy {
		s.active = false
		return 0
	}
	if s.active && now.Sub(s.since) >= s.spec.StableWindow {
		s.active, s.since = false, now
	}
	if !s.active && now.Sub(s.since) >= s.spec.Grace && !p.Busy {
		return 0
	}
	return 1
}
