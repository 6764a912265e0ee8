package queueproxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// drainUndo is how soon SIGTERM must follow /wait-for-drain or the return of Drain; otherwise the drain is undone
	// (Knative's queue-proxy gives its hook the same second: the kubelet sends both at about the same time).
	drainUndo = time.Second
	// drainUnprobed is the quiet period of an idle pod that has never been probed, and so has no prober to notify.
	// Clients whose requests come more often are still served.
	drainUnprobed = time.Second
)

// errDraining ends the wait of held probes.
var errDraining = errors.New("the pod is shutting down")

// drain is the shutdown of the pod. First probes fail while the pod serves until it is quiet: no request has arrived for a
// quiet period. Then the requests in flight end. A drain takes no longer than limit.
//
// SIGTERM starts a drain that is final; each /wait-for-drain holds one. Without SIGTERM the drain is undone after the
// last hold is released.
type drain struct {
	quiet, idle, limit time.Duration
	onChange           func(draining bool) // called with mu held; must not block
	undone             func()              // called when a drain has been undone; may block

	inFlight atomic.Int64
	ended    atomic.Int64 // when the latest request ended: nanoseconds since created; 0: none has
	probed   atomic.Bool  // the pod has been probed
	active   atomic.Bool  // changed with mu held

	created    time.Time
	terminated chan struct{} // closed by SIGTERM: the drain is final

	mu       sync.Mutex
	holds    int
	since    time.Time // start of the drain
	arrived  time.Time // of the newest request of the drain
	answered time.Time // when a probe was first answered that the pod drains; zero: none was
	undo     *time.Timer
	changed  chan struct{} // closed and replaced when the state that wait reads has changed

	serving     context.Context // ends when a drain starts
	stopServing context.CancelCauseFunc
}

func newDrain(quiet, idle, limit time.Duration, onChange func(bool)) *drain {
	d := &drain{
		quiet: quiet, idle: idle, limit: limit, onChange: onChange, undone: func() {}, changed: make(chan struct{}),
		created: time.Now(), terminated: make(chan struct{}),
	}
	d.serving, d.stopServing = context.WithCancelCause(context.Background())
	return d
}

// begin and end count a request, which ends at now. Outside a drain they cost an atomic operation or two.
func (d *drain) begin() {
	d.inFlight.Add(1)
	if d.active.Load() {
		d.mu.Lock()
		d.arrived = time.Now()
		d.mu.Unlock()
	}
}

func (d *drain) end(now time.Time) {
	d.ended.Store(int64(now.Sub(d.created)))
	if d.inFlight.Add(-1) == 0 && d.active.Load() {
		d.mu.Lock()
		d.notifyLocked()
		d.mu.Unlock()
	}
}

// noteProbe notes that the pod has been probed.
func (d *drain) noteProbe() {
	if !d.probed.Load() {
		d.probed.Store(true)
	}
}

// probeAnswered notes that a probe was answered that the pod drains.
func (d *drain) probeAnswered() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.active.Load() && d.answered.IsZero() {
		d.answered = time.Now()
		d.notifyLocked()
	}
}

func (d *drain) notifyLocked() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// start begins a drain and returns true, or joins the one under way. If that one's limit has passed, the limit counts
// anew from now. Each start needs a release, unless the process ends.
func (d *drain) start() (begun bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holds++
	if d.undo != nil {
		d.undo.Stop()
		d.undo = nil
	}
	joins := d.active.Load()
	if joins && time.Since(d.since) < d.limit {
		return false
	}
	d.since, d.arrived, d.answered = time.Now(), time.Time{}, time.Time{}
	if joins {
		d.notifyLocked()
		return false
	}
	d.active.Store(true)
	d.stopServing(errDraining)
	d.onChange(true)
	return true
}

// terminate makes the drain under way final.
func (d *drain) terminate() { close(d.terminated) }

// release undoes the drain after that time, unless another start holds it by then.
func (d *drain) release(after time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holds--; d.holds > 0 {
		return
	}
	d.undo = time.AfterFunc(after, func() {
		if d.resume() {
			d.undone()
		}
	})
}

// resume undoes the drain unless it is held.
func (d *drain) resume() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holds > 0 || d.undo == nil {
		return false
	}
	d.undo = nil
	d.active.Store(false)
	d.serving, d.stopServing = context.WithCancelCause(context.Background())
	d.onChange(false)
	return true
}

// untilDraining returns a context that ends when a drain starts; during a drain it has ended already.
func (d *drain) untilDraining() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.serving
}

// deadline is when the drain must be over.
func (d *drain) deadline() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.since.Add(d.limit)
}

// untilQuiet blocks until the pod is quiet or the limit has come, or until ctx ends, whose cause it returns.
func (d *drain) untilQuiet(ctx context.Context) error {
	return d.wait(ctx, d.quietAtLocked)
}

func (d *drain) quietAtLocked() time.Time {
	at := latest(d.since, d.arrived).Add(d.quiet)
	if d.inFlight.Load() > 0 {
		return at
	}
	var ended time.Time
	if after := d.ended.Load(); after > 0 {
		ended = d.created.Add(time.Duration(after))
	}
	switch {
	case !d.answered.IsZero():
		at = earliest(at, latest(d.since, d.arrived, ended, d.answered).Add(d.idle))
	case !d.probed.Load(): // there is no prober to wait for
		at = earliest(at, latest(d.arrived, ended).Add(min(d.idle, drainUnprobed)))
	}
	return at
}

// untilHooked blocks a preStop hook that began at begin until the pod is quiet or the limit has come. Without a SIGTERM
// it returns after drainUndo: the kubelet then restarts the app's container alone, perhaps because a request hangs in
// it. If ctx ends before, it returns the cause.
func (d *drain) untilHooked(ctx context.Context, begin time.Time) error {
	alone, cancel := context.WithDeadline(ctx, begin.Add(drainUndo))
	defer cancel()
	if d.untilQuiet(alone) == nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-d.terminated:
		return d.untilQuiet(ctx)
	default:
		return nil
	}
}

// untilEmpty blocks until nothing is in flight or the limit has come, or until ctx ends, whose cause it returns.
func (d *drain) untilEmpty(ctx context.Context) error {
	return d.wait(ctx, func() time.Time {
		if d.inFlight.Load() == 0 {
			return d.since
		}
		return d.since.Add(d.limit)
	})
}

// wait blocks until the time that dueLocked returns, which it calls again after each change.
func (d *drain) wait(ctx context.Context, dueLocked func() time.Time) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d.mu.Lock()
		left, changed := time.Until(earliest(dueLocked(), d.since.Add(d.limit))), d.changed
		d.mu.Unlock()
		if left <= 0 {
			return nil
		}
		timer.Reset(left)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-timer.C:
		}
	}
}

// close stops an undo that is due.
func (d *drain) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.undo != nil {
		d.undo.Stop()
		d.undo = nil
	}
	d.stopServing(errDraining)
}

func latest(t time.Time, more ...time.Time) time.Time {
	for _, u := range more {
		if u.After(t) {
			t = u
		}
	}
	return t
}

func earliest(t, u time.Time) time.Time {
	if u.Before(t) {
		return u
	}
	return t
}
