package autoscaler

import (
	"math"
	"time"
)

// rounding is the part of a load that may come from the rounding of its average and of a target such as 0.7: a load of 42
// needs 60 replicas then, though the quotient is 60.00000000000001.
const rounding = 1e-9

// Decider computes a number of replicas from load. It keeps the state of panic mode and of the scale-down delay; Scaler
// applies bounds and scales to zero.
type Decider struct {
	spec      Spec
	panicking bool
	panicSeen time.Time // when the threshold was last crossed
	panicMax  int       // highest number computed during this panic
	delayed   []wanted  // of the last ScaleDownDelay, oldest first
}

type wanted struct {
	at       time.Time
	replicas int
}

// NewDecider returns a Decider for a revision that scales by s.
func NewDecider(s Spec) *Decider { return &Decider{spec: s} }

// Panicking reports whether the last Decide found, or left, the revision in panic.
func (d *Decider) Panicking() bool { return d.panicking }

// Decide returns how many replicas the load needs: the averages over the stable and the panic window, in the unit of the
// spec's metric, of a revision with ready replicas. If it is not reachable by a route, it may lose its replicas at once.
// The time of calls must not decrease.
func (d *Decider) Decide(now time.Time, ready int, stable, panic float64, reachable bool) int {
	base := float64(max(ready, 1)) // for the rates zero replicas count as one
	most := math.Ceil(base * d.spec.MaxScaleUpRate)
	least := 0.0
	if reachable {
		least = math.Floor(base / d.spec.MaxScaleDownRate)
	}
	limited := func(load float64) (want float64, replicas int) {
		want = math.Ceil(load / d.spec.Target * (1 - rounding))
		replicas = toInt(min(max(want, least), most))
		if want > 0 {
			replicas = max(replicas, d.spec.Activation)
		}
		return want, replicas
	}
	_, desired := limited(stable)
	burst, urgent := limited(panic)

	d.watch(now, burst/base >= d.spec.PanicThreshold)
	if d.panicking {
		d.panicMax = max(d.panicMax, desired, urgent)
		desired = d.panicMax
	}
	return d.delay(now, desired)
}

// watch starts, extends or ends panic mode.
func (d *Decider) watch(now time.Time, over bool) {
	switch {
	case over:
		d.panicking, d.panicSeen = true, now
	case d.panicking && now.Sub(d.panicSeen) > d.spec.StableWindow:
		d.panicking, d.panicMax = false, 0
	}
}

// delay returns the highest number within the scale-down delay.
func (d *Decider) delay(now time.Time, desired int) int {
	if d.spec.ScaleDownDelay <= 0 {
		return desired
	}
	kept := d.delayed[:0]
	for _, w := range d.delayed {
		if now.Sub(w.at) < d.spec.ScaleDownDelay && w.replicas > desired {
			kept = append(kept, w)
		}
	}
	d.delayed = append(kept, wanted{now, desired})
	return d.delayed[0].replicas // the largest: later ones are smaller
}

// toInt converts f, also if no integer can represent it.
func toInt(f float64) int {
	if !(f < math.MaxInt32) { // true for NaN
		return math.MaxInt32
	}
	return int(f)
}
