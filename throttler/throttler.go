package throttler

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/internal/quota"
)

// Throttler bounds the requests to many revisions and picks a pod for each. Make one with [New]. All methods may be
// called from any goroutine; none but Acquire waits for anything but a short-held lock.
type Throttler struct {
	config  Config
	waiters sync.Pool

	waiting        *quota.Bound
	waitingBytes   *quota.Bound
	overloaded     atomic.Uint64
	doubleReleases atomic.Uint64
	known          atomic.Int64

	clients clients

	mu        sync.RWMutex
	revisions map[RevisionID]*revision
}

// New makes a Throttler; the error is the configuration's.
func New(c Config) (*Throttler, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	return &Throttler{
		config:  c,
		waiting: quota.New(int64(c.MaxWaiting)), waitingBytes: quota.New(c.MaxWaitingBytes),
		clients:   clients{held: map[netip.Addr]held{}},
		waiters:   sync.Pool{New: newWaiter},
		revisions: map[RevisionID]*revision{},
	}, nil
}

// Demand is what a request asks for.
type Demand struct {
	Revision RevisionID
	// Client is who asks, of those who share the bounds on what waits (quota.Client's form); zero: nobody in particular, as
	// where many come through one address.
	Client      netip.Addr
	Bytes       int       // what the request holds while it waits
	Enqueued    time.Time // zero: now. That of an earlier attempt puts the request back in its old place
	Not         [2]string // IDs of pods to avoid if another has a free slot; empty: none
	NoSpillover bool      // own pods only: the request could not go elsewhere if a remote pod declined it
}

// TryAcquire takes a slot if one is free. It never blocks and never overtakes a waiter. Without a slot ok is false
// and err nil. The error is ErrUnknownRevision.
func (t *Throttler) TryAcquire(d Demand) (l Lease, ok bool, err error) {
	r := t.find(d.Revision)
	if r == nil {
		return Lease{}, false, ErrUnknownRevision
	}
	l, _, err = r.enter(&d, false, nil)
	return l, l.Valid(), err
}

// Acquire takes a slot, waiting for one behind those who came before, also while the revision has no pods.
// The error is ErrUnknownRevision, ErrQueueFull or ErrOverloaded at once; ErrRevisionGone when the revision is deleted
// meanwhile; that of SetUnavailable; context.Cause(ctx) when ctx ends first, also when it had ended before.
func (t *Throttler) Acquire(ctx context.Context, d Demand) (Lease, error) {
	if ctx.Err() != nil {
		return Lease{}, context.Cause(ctx)
	}
	r := t.find(d.Revision)
	if r == nil {
		return Lease{}, ErrUnknownRevision
	}
	l, w, err := r.enter(&d, true, nil)
	if w == nil {
		return l, err
	}
	return r.wait(ctx, w)
}

// SetRevision makes a revision known, or changes its configuration: waiters beyond a smaller bound go on waiting.
// Backends that were set before are used from now on.
func (t *Throttler) SetRevision(id RevisionID, c RevisionConfig) {
	r := t.writable(id)
	defer r.update.Unlock()
	r.mu.Lock()
	if !r.known {
		r.known = true
		t.known.Add(1)
	}
	r.config = c.withDefaults()
	r.repick()
	r.mu.Unlock()
}

// DeleteRevision makes a revision unknown and forgets its backends. Its waiters fail with ErrRevisionGone; leases that
// are out end harmlessly, and go on counting for their pods should the revision come back before.
func (t *Throttler) DeleteRevision(id RevisionID) {
	r := t.find(id)
	if r == nil {
		return
	}
	r.update.Lock()
	r.mu.Lock()
	r.unavailable = nil // so that it is the deletion that waiters learn of
	r.mu.Unlock()
	r.setBackends(nil)
	r.mu.Lock()
	if r.known {
		r.known = false
		t.known.Add(-1)
	}
	failed := r.failAll(ErrRevisionGone)
	r.mu.Unlock()
	r.update.Unlock()
	failed.wakeAll()
	t.forget(r)
}

// SetUnavailable says that no pod of a revision is to be expected: as long as none is listed as Ready, requests fail
// with err instead of waiting, those that wait already included. A nil err takes that back, and so does DeleteRevision. It
// does nothing for a revision that is not known.
func (t *Throttler) SetUnavailable(id RevisionID, err error) {
	r := t.find(id)
	if r == nil {
		return
	}
	r.mu.Lock()
	var failed waiters
	if r.known {
		r.unavailable = err
		failed = r.failHopeless()
	}
	r.mu.Unlock()
	failed.wakeAll()
}

// SetBackends replaces a revision's pods and wakes who now fits. Of several with one ID the first counts. It may come
// before SetRevision. A pod that was known keeps its requests in flight, its ejection and its place in the order.
func (t *Throttler) SetBackends(id RevisionID, all []Backend) {
	r := t.writable(id)
	r.setBackends(all)
	r.update.Unlock()
	t.forget(r)
}

// PatchBackends takes the pods gone off the list, then adds or changes those of upsert. It costs what it changes; what
// it does not name stays.
func (t *Throttler) PatchBackends(id RevisionID, upsert []Backend, gone []string) {
	r := t.writable(id)
	r.patchBackends(upsert, gone)
	r.update.Unlock()
	t.forget(r)
}

// Stats is the revision at this moment; false when it is not known.
func (t *Throttler) Stats(id RevisionID) (RevisionStats, bool) {
	r := t.find(id)
	if r == nil {
		return RevisionStats{}, false
	}
	return r.stats()
}

// Totals is all revisions together; each figure is right by itself.
func (t *Throttler) Totals() Totals {
	return Totals{
		Revisions:      int(t.known.Load()),
		Waiting:        int(t.waiting.Used()),
		WaitingBytes:   t.waitingBytes.Used(),
		Overloaded:     t.overloaded.Load(),
		DoubleReleases: t.doubleReleases.Load(),
		MaxWaiting:     t.config.MaxWaiting, MaxWaitingBytes: t.config.MaxWaitingBytes,
		WaitingRefused: t.waiting.Refused(), WaitingBytesRefused: t.waitingBytes.Refused(),
	}
}

// RetryAfter estimates, from how fast the revision's queue has moved while there was one, when a newcomer would be
// served: whole seconds from 1 to 60, 1 while nothing has been measured.
func (t *Throttler) RetryAfter(id RevisionID) time.Duration {
	r := t.find(id)
	if r == nil {
		return minRetryAfter * time.Second
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drain.retryAfter(now, r.waiting())
}
