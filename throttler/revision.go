package throttler

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keptGrants is how many grants of ended leases a revision keeps for reuse at most.
const keptGrants = 1024

// revision is one revision's pods, free slots and waiting requests. One lock guards all of it, so that admission and the
// choice of a pod are one step. Methods named …Locked need mu held, those named …ListLocked list.mu, and take mu themselves.
// Requests that have been given a slot, or have failed, are collected under mu and notified after it has been released.
//
// It may exist before SetRevision, to keep backends, and after DeleteRevision, to count the leases that have not ended.
type revision struct {
	id      RevisionID
	t       *Throttler
	wakeUps atomic.Uint64
	list    podList

	mu          sync.Mutex
	known       bool // by SetRevision
	config      RevisionConfig
	unavailable error // why no pod is to be expected
	free        freeSlots
	queue       queue
	keys        affinities
	backOffs    backOffs
	count       counts
	spare       *grant // for use again
	nspare      int
}

func newRevision(t *Throttler, id RevisionID) *revision {
	r := &revision{id: id, t: t, list: podList{pods: map[string]*pod{}}}
	r.free.init()
	r.backOffs.fire = r.endBackOffs
	return r
}

// enter takes a slot, or with wait a place in the queue; notify is for a Place, or else nil.
func (r *revision) enter(d *Demand, wait bool, notify func()) (Lease, *waiter, error) {
	if t := d.Turn; t != nil && t.r != nil && t.r != r { // of that name, and gone
		t.End()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known {
		return Lease{}, nil, ErrUnknownRevision
	}
	w := r.wantLocked(d)
	if p := r.findLocked(w); p != nil {
		return r.grantLocked(p, w), nil, nil
	}
	if !wait {
		return Lease{}, nil, nil
	}
	if r.hopelessLocked() {
		return Lease{}, nil, r.unavailable
	}
	waiter, err := r.enqueueLocked(d, w, notify)
	return Lease{}, waiter, err
}

func (r *revision) wantLocked(d *Demand) want {
	w := want{avoid: d.Avoid, noSpillover: d.NoSpillover}
	if d.Key == 0 {
		return w
	}
	if !r.free.ring.on {
		r.free.ring.start(r.free.order)
	}
	w.key, w.turn = r.keys.use(d.Key, &r.t.keys), d.Turn
	if w.turn != nil {
		w.turn.r, w.turn.key = r, w.key
	}
	return w
}

// findLocked finds the pod for a new request, which doesn't overtake those that wait for it.
func (r *revision) findLocked(w want) *pod {
	if w.turn == nil {
		if !r.queue.admits(w.noSpillover) {
			return nil
		}
		return r.free.choose(w)
	}
	if !w.key.free(w.turn) {
		return nil
	}
	if p := r.free.chooseToWaitFor(w); p != nil && p.hasSlot() {
		return p
	}
	return nil
}

// grantLocked gives a lease on p, which has room.
func (r *revision) grantLocked(p *pod, w want) Lease {
	g := r.spare
	if g != nil {
		r.spare, g.next = g.next, nil
		r.nspare--
	} else {
		g = &grant{revision: r}
	}
	g.gen = (g.gen | spillBit) + 1
	if p.Own {
		r.free.cursor = p.position + 1
	} else {
		g.gen |= spillBit
		r.count.SpilloverGrants++
		r.count.Spillover++
	}
	g.pod, g.epoch = p, p.backOff.epoch
	p.inFlight++
	r.count.InFlight++
	r.count.Grants++
	l := Lease{g: g, endpoint: p.endpoint, gen: g.gen}
	if w.key != nil {
		l.epoch = w.key.moveTo(p, &r.free.ring, &r.count)
		if w.turn != nil {
			w.key.turn = w.turn
		}
	}
	r.free.update(p)
	return l
}

// enqueueLocked queues a request. One that is older than all who wait has been at the head before, and an attempt that
// failed must not cost it its place: it may come back although the revision's queue is full, if what waits over all
// revisions has room.
func (r *revision) enqueueLocked(d *Demand, what want, notify func()) (*waiter, error) {
	has, client := usage{int64(r.queue.len()), r.count.WaitingBytes}, d.Client
	switch {
	case r.queue.allYoungerThan(d.Enqueued), what.turn != nil && what.key.turn == what.turn:
		has, client = usage{}, netip.Addr{} // it only has to fit
	case r.queue.len() >= r.config.MaxWaiting, what.key != nil && what.key.waits >= r.config.MaxWaiting-r.queue.len():
		r.count.Refused++ // a key may have as many places as are free, so that one alone doesn't take all: see package quota
		return nil, ErrQueueFull
	}
	bytes := int64(max(d.Bytes, 0))
	if !r.t.bounds.reserve(has, client, bytes) {
		r.count.Refused++
		return nil, ErrOverloaded
	}
	w := r.t.waiters.get(notify)
	now := time.Now()
	w.client, w.bytes, w.want, w.since = client, bytes, what, now
	if !d.Enqueued.IsZero() && d.Enqueued.Before(now) {
		w.since = d.Enqueued
	}
	r.queue.number(w, now)
	r.count.WaitingBytes += bytes
	if w.key != nil {
		w.key.waits++
	}
	if w.turn == nil {
		r.queue.add(w)
		return w, nil
	}
	r.queue.inTurn++
	if w.key.free(w.turn) {
		w.key.turn = w.turn
		r.lineUpLocked(w, r.free.chooseToWaitFor(w.want))
	} else {
		w.key.line.enter(w)
	}
	return w, nil
}

func (r *revision) dequeueLocked(w *waiter) {
	at := w.at
	r.queue.remove(w)
	if w.turn != nil {
		r.queue.inTurn--
	}
	if w.key != nil {
		w.key.waits--
	}
	if at != nil {
		r.free.update(at)
	}
	r.count.WaitingBytes -= w.bytes
	r.t.bounds.release(w.client, w.bytes)
}

// lineUpLocked makes a request whose turn it is wait for p, or without one for any pod that comes.
func (r *revision) lineUpLocked(w *waiter, p *pod) {
	r.queue.front(w, p)
	if p != nil {
		r.free.update(p)
	}
}

// endTurn ends a request's turn, and begins that of the next request with its key.
func (r *revision) endTurn(t *Turn) {
	r.mu.Lock()
	key := t.key
	t.r, t.key = nil, nil
	var served waiters
	if key.turn == t {
		key.turn = nil
		if w := key.line.head; w != nil {
			key.line.remove(w)
			key.turn = w.turn
			r.beginTurnLocked(w, &served)
		}
	}
	if served.n > 0 {
		r.queue.rate.served(time.Now(), served.n)
	}
	if !r.known {
		r.keys.forget(key, &r.t.keys)
	}
	r.mu.Unlock()
	served.notifyAll()
}

// beginTurnLocked gives a request whose turn has come, and which is in no line, a slot of its key's pod, or a place in that
// pod's line.
func (r *revision) beginTurnLocked(w *waiter, served *waiters) {
	p := r.free.chooseToWaitFor(w.want)
	r.lineUpLocked(w, p)
	if p != nil && p.hasSlot() {
		r.handLocked(p, w, served)
	}
}

// regroupLocked finds pods anew for the requests whose turn it is, after pods have come or gone.
func (r *revision) regroupLocked(served *waiters) {
	r.free.ring.moved = false
	all := make([]*waiter, 0, r.queue.fronts)
	take := func(list *waiters) {
		for w := list.head; w != nil; w = list.head {
			r.queue.remove(w)
			all = append(all, w)
		}
	}
	take(&r.queue.homeless)
	for _, p := range r.queue.lined {
		take(&p.line)
		p.lined = false
		r.free.update(p)
	}
	r.queue.lined = r.queue.lined[:0]
	slices.SortFunc(all, byAge)
	for _, w := range all {
		r.beginTurnLocked(w, served)
	}
}

// wait blocks until w has a lease, has failed, or ctx ends.
func (r *revision) wait(ctx context.Context, w *waiter) (Lease, error) {
	var l Lease
	var err error
	select {
	case <-w.wake:
		l, err = w.lease, w.err
		if err == nil {
			r.wakeUps.Add(1)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
		r.giveUp(w)
	}
	w.lease, w.err, w.want = Lease{}, nil, want{}
	r.t.waiters.put(w)
	return l, err
}

// giveUp ends a wait whose context has ended. A slot that it has been given in the meantime is passed on.
func (r *revision) giveUp(w *waiter) {
	if r.leave(w) {
		return
	}
	<-w.wake
	if w.err == nil {
		r.wakeUps.Add(1)
		r.passOn(w.lease)
	}
}

// leave takes w out of the queue, if it is still there.
func (r *revision) leave(w *waiter) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.in == nil {
		return false
	}
	r.dequeueLocked(w)
	r.count.Cancelled++
	return true
}

func (r *revision) passOn(l Lease) {
	r.mu.Lock()
	r.count.PassedOn++
	r.mu.Unlock()
	r.release(l, Unused)
}

func (r *revision) release(l Lease, o Outcome) {
	g := l.g
	r.mu.Lock()
	if g.gen != l.gen || g.pod == nil {
		r.count.DoubleReleases++
		r.mu.Unlock()
		r.t.doubleReleases.Add(1)
		return
	}
	p := g.pod
	if l.Spillover() {
		r.count.Spillover--
	}
	g.pod = nil
	p.inFlight--
	r.count.InFlight--
	if !p.listed && p.inFlight == 0 {
		r.count.Leaving--
	}
	r.judgeLocked(p, g, o)
	if r.nspare < keptGrants {
		g.next, r.spare = r.spare, g
		r.nspare++
	}
	r.free.update(p)
	served := r.serveLocked(p)
	if o == OK {
		r.reuseLocked(p, &served)
	}
	forget := !r.known && r.count.InFlight == 0
	r.mu.Unlock()
	served.notifyAll()
	if forget {
		r.t.forget(r)
	}
}

// serveLocked gives free slots to the oldest waiting requests, those in the line of freed, unless it is nil, among them.
func (r *revision) serveLocked(freed *pod) (served waiters) {
	if r.free.ring.moved && r.queue.fronts > 0 {
		r.regroupLocked(&served)
	}
	for {
		w, p := r.queue.next(&r.free)
		if freed != nil && freed.line.head != nil && freed.hasSlot() && (p == nil || freed.line.head.olderThan(w)) {
			w, p = freed.line.head, freed
		}
		if p == nil {
			break
		}
		r.handLocked(p, w, &served)
	}
	if served.n > 0 {
		r.queue.rate.served(time.Now(), served.n)
	}
	return served
}

// handLocked gives w a slot of p.
func (r *revision) handLocked(p *pod, w *waiter, served *waiters) {
	r.dequeueLocked(w)
	w.lease = r.grantLocked(p, w.want)
	r.count.Handed++
	served.push(w)
}

// reuseLocked gives the slot that a request has just released to the oldest waiting request, even while the pod is backed
// off because it declined one: it was full then, and has room now. So such a pod isn't left idle, and gets one request for
// each that it answers.
func (r *revision) reuseLocked(p *pod, served *waiters) {
	if !p.Own || !p.listed || p.State != Ready || p.backOff.why != declined || !p.hasRoom() {
		return
	}
	if w := older(r.queue.oldest(), p.line.head); w != nil {
		r.handLocked(p, w, served)
		r.queue.rate.served(time.Now(), 1)
	}
}

// judgeLocked takes a pod out of use, or ends the growth of its back-offs, by how a lease of it ended. A lease from before
// its last back-off is ignored: of a hundred requests that fail together to dial a dead pod, one ejects it.
func (r *revision) judgeLocked(p *pod, g *grant, o Outcome) {
	if o == Unused || g.epoch != p.backOff.epoch {
		return
	}
	switch o {
	case OK:
		p.backOff.succeeded()
	case DialFailed, Lost:
		r.count.Ejections++
		increment(&p.backOff.ejected)
		r.startBackOffLocked(p, ejected, r.t.config.Eject.after(p.backOff.ejected, r.free.roll))
	case Busy:
		r.count.Declined++
		increment(&p.backOff.declined)
		// A pod may decline a spillover request while it has slots for its own activator's.
		if spillover := g.gen&spillBit != 0; !spillover || !p.Own {
			r.startBackOffLocked(p, declined, r.t.config.Decline.after(p.backOff.declined, r.free.roll))
		}
	}
}

// startBackOffLocked takes p out of use for d.
func (r *revision) startBackOffLocked(p *pod, why backOffReason, d time.Duration) {
	p.backOff.epoch++
	if !p.listed {
		return
	}
	r.endBackOffLocked(p) // reuseLocked lets a pod decline again while it is backed off
	now := time.Now()
	r.count.tally(p, -1)
	p.backOff.why, p.backOff.until = why, now.Add(d)
	r.count.tally(p, +1)
	r.backOffs.add(p)
	r.keepOneComingLocked(now)
	r.backOffs.setTimer(now)
}

// endBackOffLocked ends p's back-off, if there is one.
func (r *revision) endBackOffLocked(p *pod) {
	if p.backOff.why == inUse {
		return
	}
	r.backOffs.remove(p)
	r.count.tally(p, -1)
	p.backOff.why = inUse
	r.count.tally(p, +1)
}

// keepOneComingLocked lets one pod back into use within the first step of ejection when all own pods are ejected: maybe all
// are dead, maybe it was the network, and a request has to find out.
func (r *revision) keepOneComingLocked(now time.Time) {
	if r.count.ownEjected > 0 && r.count.ownEjected >= r.count.ownReady {
		r.backOffs.shorten(now.Add(r.t.config.Eject.First))
	}
}

// endBackOffs ends the back-offs that are over, and serves the requests that wait for those pods. The timer calls it.
func (r *revision) endBackOffs() {
	r.mu.Lock()
	now := time.Now()
	var served waiters
	for p := r.backOffs.over(now); p != nil; p = r.backOffs.over(now) {
		r.endBackOffLocked(p)
		r.free.update(p)
		served.append(r.serveLocked(p))
	}
	r.backOffs.at = time.Time{}
	r.backOffs.setTimer(now)
	r.mu.Unlock()
	served.notifyAll()
}

// hopelessLocked says that there is no pod to wait for.
func (r *revision) hopelessLocked() bool { return r.unavailable != nil && r.count.Ready == 0 }

// failHopelessLocked empties the queue if there is no pod to wait for.
func (r *revision) failHopelessLocked() (failed waiters) {
	if r.hopelessLocked() {
		failed = r.failAllLocked(r.unavailable)
	}
	return failed
}

// failAllLocked empties the queue.
func (r *revision) failAllLocked(err error) (failed waiters) {
	fail := func(list *waiters) {
		for w := list.head; w != nil; w = list.head {
			r.dequeueLocked(w)
			w.err = err
			failed.push(w)
		}
	}
	for w := r.queue.oldest(); w != nil; w = r.queue.oldest() {
		fail(w.in)
	}
	fail(&r.queue.homeless)
	for _, p := range r.queue.lined {
		fail(&p.line)
	}
	if r.queue.inTurn > 0 {
		for _, key := range r.keys.byKey {
			fail(&key.line)
		}
	}
	return failed
}

// configure makes the revision known, or changes its configuration.
func (r *revision) configure(c RevisionConfig) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known {
		r.known = true
		r.t.known.Add(1)
	}
	r.config = c.withDefaults()
	r.repickLocked()
}

// setUnavailable sets why no pod is to be expected; nil: one is.
func (r *revision) setUnavailable(err error) {
	r.mu.Lock()
	var failed waiters
	if r.known {
		r.unavailable = err
		failed = r.failHopelessLocked()
	}
	r.mu.Unlock()
	failed.notifyAll()
}

// dropListLocked makes the revision unknown and fails its waiting requests, which the caller notifies.
func (r *revision) dropListLocked() (failed waiters) {
	r.mu.Lock()
	r.unavailable = nil // so that requests fail with ErrRevisionGone
	r.mu.Unlock()
	r.applyListLocked(r.list.replaceLocked(nil))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known {
		r.known = false
		r.t.known.Add(-1)
	}
	failed = r.failAllLocked(ErrRevisionGone)
	r.keys.forgetAll(&r.t.keys)
	return failed
}

// applyListLocked makes changes to the pods, serves the requests that now find a slot, and forgets pods that have ended.
func (r *revision) applyListLocked(changes []change) {
	r.mu.Lock()
	more := 0
	for i := range changes {
		if !changes[i].unlist && !changes[i].pod.listed {
			more++
		}
	}
	r.free.grow(more)
	for i := range changes {
		if c := &changes[i]; c.unlist {
			r.removePodLocked(c.pod)
		} else {
			r.setPodLocked(c)
		}
	}
	r.repickLocked()
	if len(r.backOffs.pods) > 0 || !r.backOffs.at.IsZero() {
		now := time.Now()
		r.keepOneComingLocked(now)
		r.backOffs.setTimer(now)
	}
	var served waiters
	for i := range changes {
		served.append(r.serveLocked(changes[i].pod))
	}
	failed := r.failHopelessLocked()
	r.list.forgetEndedLocked()
	r.mu.Unlock()
	served.notifyAll()
	failed.notifyAll()
}

// setPodLocked lists a pod as c says. It needs list.mu too.
func (r *revision) setPodLocked(c *change) {
	p := c.pod
	r.count.tally(p, -1)
	if !p.listed {
		if p.inFlight == 0 {
			p.backOff = backOff{epoch: p.backOff.epoch} // it has been away without a lease: its failures are forgotten
		}
		r.free.add(p)
		r.list.pods[p.ID] = p
	}
	wasRemote := !p.Own
	p.listed, p.Backend = true, c.to
	r.count.tally(p, +1)
	moved := p.endpoint == nil || p.endpoint.addr != c.to.Addr
	if moved || p.endpoint.declines != c.to.Declines {
		p.endpoint = c.endpoint
	}
	// A pod has not failed at its new address, and what it declined as a remote pod says nothing about it as an own one.
	if moved || wasRemote && p.Own && p.backOff.why == declined {
		r.endBackOffLocked(p)
	}
	r.free.update(p)
}

// removePodLocked takes p off the list. Its leases go on counting; if it comes back before they end, they count for it. It
// needs list.mu too.
func (r *revision) removePodLocked(p *pod) {
	if !p.listed {
		return
	}
	r.endBackOffLocked(p)
	r.count.tally(p, -1)
	p.listed = false
	r.count.tally(p, +1)
	r.free.update(p)
	r.free.remove(p)
	if p.inFlight == 0 {
		delete(r.list.pods, p.ID)
		return
	}
	r.list.left = append(r.list.left, p)
}

// repickLocked works out how to pick a pod.
func (r *revision) repickLocked() {
	pick := r.config.Pick
	if pick == PickAuto {
		pick = r.count.pick()
	}
	r.free.pickBy(pick)
}

// state says whether the revision is known, and whether it has anything to keep it for.
func (r *revision) state() (known, idle bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known, !r.known && r.count.Backends == 0 && r.count.InFlight == 0
}

func (r *revision) retryAfter() time.Duration {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queue.rate.retryAfter(now, r.queue.len())
}

func (r *revision) stats() (_ RevisionStats, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.count.RevisionStats
	s.Waiting = r.queue.len()
	s.WakeUps = r.wakeUps.Load()
	s.Slots = r.count.ownSlots
	if r.count.ownUnlimited > 0 {
		s.Slots = -1
	}
	return s, r.known
}
