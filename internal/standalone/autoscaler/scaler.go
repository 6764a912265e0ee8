package autoscaler

import "time"

// Sample is the load of a revision, averaged over about a second.
type Sample struct {
	Concurrency float64 // requests in flight, including those that wait
	RPS         float64 // requests per second
}

// Pods is the state of a revision's replicas.
type Pods struct {
	Ready int
	// Busy: a request is in flight or waiting. While it is true the last replica stays.
	Busy bool
	// Reachable: a route leads to the revision. Otherwise min-scale doesn't apply.
	Reachable bool
}

// Decision is the result of Tick.
type Decision struct {
	Desired       int
	Panicking     bool
	Stable, Panic float64 // averages that led to it
	Active        bool    // false: scaling to zero, or at zero
}

// Scaler decides for one revision.
type Scaler struct {
	spec    Spec
	stable  *window
	panic   *window // separate, as in Knative: it is empty sooner after a scale to zero, so a burst is not averaged with zeros
	decider *Decider

	started bool      // initial scale was reached
	active  bool      // load, or the initial scale, needs a replica
	since   time.Time // of active, or of its end
	last    Decision
}

// New returns a Scaler for a revision that starts now, with the initial scale.
func New(s Spec, now time.Time) *Scaler {
	sc := &Scaler{
		spec: s, stable: newWindow(s.StableWindow), panic: newWindow(s.PanicWindow), decider: NewDecider(s),
		since: now, started: s.Initial == 0, active: s.Initial > 0,
	}
	sc.last.Desired = s.Initial
	return sc
}

// Spec returns the argument of New.
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

// Tick returns a new Decision. Call it every few seconds; the time must not decrease. The decision is valid until the next.
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

// Last returns the latest decision; before the first, the initial scale.
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

// wayToZero keeps the last replica until the revision has been active for at least a stable window, then inactive for
// the grace period, and no request needs it.
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
	if s.last.Desired == 0 { // a request waits, and there is no sample of it yet
		s.active, s.since = true, now
	}
	if s.active && now.Sub(s.since) >= s.spec.StableWindow {
		s.active, s.since = false, now
	}
	if !s.active && now.Sub(s.since) >= s.spec.Grace && !p.Busy {
		return 0
	}
	return 1
}
