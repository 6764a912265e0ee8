package queueproxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// drainUndo is how long SIGTERM may take to follow /wait-for-drain, or the return of Drain; without it the pod stays
	// (Knative's queue-proxy gives its hook the same second: the kubelet sends both at about the same time).
	drainUndo = time.Second
	// drainUnprobed is how long no request must have come where nobody probes the pod, so that a drain is of use to those
	// alone whom Kubernetes or a balancer sends elsewhere unasked. Clients that come more often than that are served on.
	drainUnprobed = time.Second
)

// errDraining ends the wait of held probes.
var errDraining = errors.New("the pod is shutting down")

// drain is the way from serving to gone: probes fail and the pod serves on until it is quiet, which is when the last
// request has come a while ago; then what is in flight ends. It never takes longer than limit.
//
// Several may drain at once: SIGTERM, which is for good, and each /wait-for-drain. The drain is undone when none of them is
// left.
type drain struct {
	quiet, idle, limit time.Duration
	onChange           func(draining bool) // called with mu held; must not block
	undone             func()              // called when a drain has been undone; may block

	inFlight atomic.Int64
	ended    atomic.Int64 // when the latest request did: nanoseconds since created; 0: none has
	probed   atomic.Bool  // somebody looks whether the pod is ready
	active   atomic.Bool  // changed with mu held

	created    time.Time
	terminated chan struct{} // closed when there is no way back

	mu      sync.Mutex
	holds   int
	since   time.Time // start of the drain
	arrived time.Time // newest request of the drain
	told    time.Time // when a prober first heard of the drain; zero: none has
	undo    *time.Timer
	changed chan struct{} // closed and replaced when what wait looks at has changed

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

// begin and end enclose a request, which ends now. Outside a drain they cost an atomic addition or two.
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
		d.pokeLocked()
		d.mu.Unlock()
	}
}

// probe notes that somebody looks whether the pod is ready.
func (d *drain) probe() {
	if !d.probed.Load() {
		d.probed.Store(true)
	}
}

// tell notes that a prober has been told.
func (d *drain) tell() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.active.Load() && d.told.IsZero() {
		d.told = time.Now()
		d.pokeLocked()
	}
}

func (d *drain) pokeLocked() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// start begins a drain, which it reports, or joins the one under way. One whose limit is over is none to join: the
// grace period of a pod that is still there begins now. Each start needs its release, unless the process ends.
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
	d.since, d.arrived, d.told = time.Now(), time.Time{}, time.Time{}
	if joins {
		d.pokeLocked()
		return false
	}
	d.active.Store(true)
	d.stopServing(errDraining)
	d.onChange(true)
	return true
}

// terminate has the drain that has been started go on until the process ends.
func (d *drain) terminate() { close(d.terminated) }

// release undoes the drain after a while, unless somebody else drains or starts to before.
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

// resume undoes the drain, unless somebody has started one meanwhile.
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

// untilDraining is a context that ends when a drain starts; it has ended during one.
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
	case !d.told.IsZero():
		at = earliest(at, latest(d.since, d.arrived, ended, d.told).Add(d.idle))
	case !d.probed.Load(): // nobody is there to be told
		at = earliest(at, latest(d.arrived, ended).Add(min(d.idle, drainUnprobed)))
	}
	return at
}

// untilHooked blocks for as long as a preStop hook should that began at begin: until the pod is quiet or the limit has
// come; but no longer than drainUndo when the process is not told to end meanwhile, for then the kubelet restarts the app
// alone, perhaps because a request hangs in it. It returns the cause of ctx when that ends before.
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

// wait blocks until the time that due says, which is asked anew after each change.
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
