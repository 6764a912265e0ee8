package throttler

import (
	"container/heap"
	"math"
	"time"
)

// judge draws the conclusion from how a lease of p ended. What was given before p's last back-off counts no more: of a
// hundred requests that fail to dial a dead pod together, one ejects it.
func (r *revision) judge(p *pod, g *grant, o Outcome) {
	if o == Unused || g.epoch != p.backOff.epoch {
		return
	}
	switch o {
	case OK:
		p.backOff.ejected, p.backOff.declined = 0, 0
	case DialFailed, Lost:
		r.count.Ejections++
		bump(&p.backOff.ejected)
		r.startBackOff(p, ejected, r.t.config.Eject.after(p.backOff.ejected, r.roll))
	case Busy:
		r.count.Declined++
		bump(&p.backOff.declined)
		if spilled := g.gen&spillBit != 0; !spilled || !p.Own { // what spilled over has asked for less than our own may
			r.startBackOff(p, declined, r.t.config.Decline.after(p.backOff.declined, r.roll))
		}
	}
}

func bump(n *uint8) {
	if *n < math.MaxUint8 {
		*n++
	}
}

// startBackOff takes p out of use for d.
func (r *revision) startBackOff(p *pod, why backOffReason, d time.Duration) {
	p.backOff.epoch++
	if !p.listed {
		return
	}
	r.endBackOff(p) // it may have taken one meanwhile: see succeed
	now := time.Now()
	r.tally(p, -1)
	p.backOff.why, p.backOff.until = why, now.Add(d)
	r.tally(p, +1)
	heap.Push(&r.backingOff, p)
	r.shorten(now)
	r.setAlarm(now)
}

// endBackOff ends p's back-off, if there is one.
func (r *revision) endBackOff(p *pod) {
	if p.backOff.why == inUse {
		return
	}
	heap.Remove(&r.backingOff, p.backOff.index)
	r.tally(p, -1)
	p.backOff.why = inUse
	r.tally(p, +1)
}

// shorten sees to it that when all own pods are ejected, the first comes back within the first step: maybe all are
// dead, maybe it was the network, and somebody has to find out.
func (r *revision) shorten(now time.Time) {
	if r.count.ownEjected == 0 || r.count.ownEjected < r.count.ownReady {
		return
	}
	var first *pod
	for _, p := range r.backingOff {
		if p.Own && p.State == Ready && (first == nil || p.backOff.until.Before(first.backOff.until)) {
			first = p
		}
	}
	if latest := now.Add(r.t.config.Eject.First); first != nil && first.backOff.until.After(latest) {
		first.backOff.until = latest
		heap.Fix(&r.backingOff, first.backOff.index)
	}
}

// setAlarm sets the timer to the end of the first back-off.
func (r *revision) setAlarm(now time.Time) {
	if len(r.backingOff) == 0 {
		if r.timer != nil && !r.alarmAt.IsZero() {
			r.timer.Stop()
			r.alarmAt = time.Time{}
		}
		return
	}
	at := r.backingOff[0].backOff.until
	if at.Equal(r.alarmAt) {
		return
	}
	r.alarmAt = at
	if r.timer == nil {
		r.timer = time.AfterFunc(at.Sub(now), r.alarm)
		return
	}
	r.timer.Reset(at.Sub(now))
}

// alarm ends the back-offs that are over and lets in who waited for those pods.
func (r *revision) alarm() {
	r.mu.Lock()
	now := time.Now()
	for len(r.backingOff) > 0 && !r.backingOff[0].backOff.until.After(now) {
		p := r.backingOff[0]
		r.endBackOff(p)
		r.reindex(p)
	}
	r.alarmAt = time.Time{}
	r.setAlarm(now)
	woken := r.serve()
	r.mu.Unlock()
	woken.wakeAll()
}

// backOffHeap has the pod whose back-off ends first on top.
type backOffHeap []*pod

func (h backOffHeap) Len() int           { return len(h) }
func (h backOffHeap) Less(i, j int) bool { return h[i].backOff.until.Before(h[j].backOff.until) }

func (h backOffHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].backOff.index, h[j].backOff.index = i, j
}

func (h *backOffHeap) Push(x any) {
	p := x.(*pod)
	p.backOff.index = len(*h)
	*h = append(*h, p)
}

func (h *backOffHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}
