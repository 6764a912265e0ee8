package throttler

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Throttler limits the requests to many revisions and picks a pod for each. Make one with [New]. All methods may be
// called from any goroutine; none but Acquire waits for anything but a short-held lock.
type Throttler struct {
	config         Config
	waiters        waiterPool
	bounds         bounds
	doubleReleases atomic.Uint64
	known          atomic.Int64
	keys           atomic.Int64 // that are remembered

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
		config:    c,
		bounds:    newBounds(c),
		revisions: map[RevisionID]*revision{},
	}, nil
}

// Demand is what a request asks for.
type Demand struct {
	Revision RevisionID
	// Client is the address that shares the bounds on what waits with the other clients (quota.Client's form); zero: none, as
	// where many clients come through one address.
	Client      netip.Addr
	Bytes       int       // what the request holds while it waits
	Enqueued    time.Time // zero: now. That of an earlier attempt puts the request back in its old place in the queue
	Avoid       [2]string // IDs of pods to avoid if another has a free slot; empty: none
	NoSpillover bool      // own pods only: the request could not go elsewhere if a remote pod declined it

	// Key, unless 0, is what requests that should go to one pod have in common: see [Key]. They go to the same pod while no pod
	// comes or goes and that one has room; a pod that goes gives its keys to the others, each of them a share, and one that comes takes
	// its share from each: no other key moves.
	Key uint64
	// Turn, unless nil, makes requests with one Key take turns, in order of arrival: no two are in progress at a time, other keys
	// go on. The turn lasts until Turn.End. Such a request waits for its key's pod also while others have free slots, unless that
	// pod has 100 requests and more than twice the mean. Requests with and without a Turn should not share a Key. Who waits for its own
	// key's turn while it has it waits in vain: so does an app that sends itself a request with the key of the one it handles.
	Turn *Turn
}

// TryAcquire takes a slot if one is free. It never blocks and never overtakes a waiting request. Without a slot ok is false
// and err nil. The error is ErrUnknownRevision.
func (t *Throttler) TryAcquire(d Demand) (l Lease, ok bool, err error) {
	r := t.find(d.Revision)
	if r == nil {
		return Lease{}, false, ErrUnknownRevision
	}
	l, _, err = r.enter(&d, false, nil)
	return l, l.Valid(), err
}

// Acquire takes a slot, and waits for one behind earlier requests, also while the revision has no pods.
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

// Queue is Acquire for a request that waits without blocking. It returns a lease, or an error, or else a place in the
// queue, which needs one Leave. notify is called once when the wait is over, because there is a slot or the revision is
// gone or unavailable, on the goroutine that brought that about; it must not block. It is not called when Leave comes
// first, but may be under way while Leave is called.
func (t *Throttler) Queue(d Demand, notify func()) (Lease, *Place, error) {
	r := t.find(d.Revision)
	if r == nil {
		return Lease{}, nil, ErrUnknownRevision
	}
	l, w, err := r.enter(&d, true, notify)
	if w == nil {
		return l, nil, err
	}
	return Lease{}, &Place{r, w}, nil
}

// SetRevision makes a revision known, or changes its configuration: requests that wait beyond a smaller bound go on
// waiting. Backends that were set before are used from now on.
func (t *Throttler) SetRevision(id RevisionID, c RevisionConfig) {
	r := t.lockList(id)
	r.configure(c)
	r.list.mu.Unlock()
}

// DeleteRevision makes a revision unknown and forgets its backends. Its waiting requests fail with ErrRevisionGone; leases
// that have not ended stay valid, and go on counting for their pods should the revision come back before they end.
func (t *Throttler) DeleteRevision(id RevisionID) {
	r := t.find(id)
	if r == nil {
		return
	}
	r.list.mu.Lock()
	failed := r.dropListLocked()
	r.list.mu.Unlock()
	failed.notifyAll()
	t.forget(r)
}

// SetUnavailable says that no pod of a revision is to be expected: as long as none is listed as Ready, requests fail
// with err instead of waiting, those that wait already included. A nil err takes that back, and so does DeleteRevision. It
// does nothing for a revision that is not known.
func (t *Throttler) SetUnavailable(id RevisionID, err error) {
	if r := t.find(id); r != nil {
		r.setUnavailable(err)
	}
}

// SetBackends replaces a revision's pods and gives their free slots to waiting requests. Of several with one ID the first
// counts. It may come before SetRevision. A pod that was known keeps its requests in flight, its ejection and its position.
func (t *Throttler) SetBackends(id RevisionID, all []Backend) {
	r := t.lockList(id)
	r.applyListLocked(r.list.replaceLocked(all))
	r.list.mu.Unlock()
	t.forget(r)
}

// PatchBackends takes the pods gone off the list, then adds or changes those of upsert. It costs what it changes; what
// it does not name stays.
func (t *Throttler) PatchBackends(id RevisionID, upsert []Backend, gone []string) {
	r := t.lockList(id)
	r.applyListLocked(r.list.patchLocked(upsert, gone))
	r.list.mu.Unlock()
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
		Keys:           int(t.keys.Load()),
		Waiting:        int(t.bounds.requests.Used()),
		WaitingBytes:   t.bounds.bytes.Used(),
		Overloaded:     t.bounds.exceeded.Load(),
		DoubleReleases: t.doubleReleases.Load(),
		MaxWaiting:     t.config.MaxWaiting, MaxWaitingBytes: t.config.MaxWaitingBytes,
		WaitingRefused: t.bounds.requests.Refused(), WaitingBytesRefused: t.bounds.bytes.Refused(),
	}
}

// RetryAfter estimates, from how fast the revision's queue has moved while there was one, when a new request would be
// served: whole seconds from 1 to 60, 1 while nothing has been measured.
func (t *Throttler) RetryAfter(id RevisionID) time.Duration {
	r := t.find(id)
	if r == nil {
		return minRetryAfter * time.Second
	}
	return r.retryAfter()
}

// find is the revision's entry, or nil.
func (t *Throttler) find(id RevisionID) *revision {
	t.mu.RLock()
	r := t.revisions[id]
	t.mu.RUnlock()
	return r
}

func (t *Throttler) findOrMake(id RevisionID) *revision {
	if r := t.find(id); r != nil {
		return r
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.revisions[id]
	if r == nil {
		r = newRevision(t, id)
		t.revisions[id] = r
	}
	return r
}

// lockList is the revision's entry, made if need be, with list.mu held. Locks are taken in the order list.mu, then the
// revision's mu or the throttler's; so an entry may have been removed between finding it and locking its list.
func (t *Throttler) lockList(id RevisionID) *revision {
	for {
		r := t.findOrMake(id)
		r.list.mu.Lock()
		if !r.list.removed {
			return r
		}
		r.list.mu.Unlock()
	}
}

// forget removes an entry that has nothing to keep: no SetRevision, no backends, no leases.
func (t *Throttler) forget(r *revision) {
	if known, _ := r.state(); known {
		return
	}
	r.list.mu.Lock()
	defer r.list.mu.Unlock()
	if _, idle := r.state(); !idle || r.list.removed {
		return
	}
	r.list.removed = true
	t.mu.Lock()
	delete(t.revisions, r.id)
	t.mu.Unlock()
}
