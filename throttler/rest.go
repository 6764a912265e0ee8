package throttler

import (
	"container/heap"
	"math"
	"time"
)

// judge draws the conclusion from how a lease of p ended. What was given before p's last rest is old news: of a
// hundred requests that fail to dial a dead pod together, one ejects it.
func (r *revision) judge(p *pod, g *grant, o Outcome) {
	if o == Unused || g.epoch != p.rest.epoch {
		return
	}
	switch o {
	case OK:
		p.rest.ejected, p.rest.declined = 0, 0
	case DialFailed, Lost:
		r.count.Ejections++
		bump(&p.rest.ejected)
		r.lay(p, ejected, r.t.config.Eject.after(p.rest.ejected, r.roll))
	case Busy:
		r.count.Declined++
		bump(&p.rest.declined)
		if spilled := g.gen&spillBit != 0; !spilled || !p.Own { // what spilled over has asked for less than our own may
			r.lay(p, declined, r.t.config.Decline.after(p.rest.declined, r.roll))
		}
	}
}

func bump(n *uint8) {
	if *n < math.MaxUint8 {
		*n++
	}
}

// lay puts p to rest for d.
func (r *revision) lay(p *pod, why restReason, d time.Duration) {
	p.rest.epoch++
	if !p.listed {
		return
	}
	r.rouse(p) // it may have taken one meanwhile: see succeed
	now := time.Now()
	r.tally(p, -1)
	p.rest.why, p.rest.until = why, now.Add(d)
	r.tally(p, +1)
	heap.Push(&r.resting, p)
	r.shorten(now)
	r.setAlarm(now)
}

// rouse ends p's rest, if there is one.
func (r *revision) rouse(p *pod) {
	if p.rest.why == awake {
		return
	}
	heap.Remove(&r.resting, p.rest.index)
	r.tally(p, -1)
	p.rest.why = awake
	r.tally(p, +1)
}

// shorten sees to it that when all own pods are ejected, the first comes back within the first step: maybe all are
// dead, maybe it was the network, and somebody has to find out.
func (r *revision) shorten(now time.Time) {
	if r.count.ownEjected == 0 || r.count.ownEjected < r.count.ownReady {
		return
	}
	var first *pod
	for _, p := range r.resting {
		if p.Own && p.State == Ready && (first == nil || p.rest.until.Before(first.rest.until)) {
			first = p
		}
	}
	if latest := now.Add(r.t.config.Eject.First); first != nil && first.rest.until.After(latest) {
		first.rest.until = latest
		heap.Fix(&r.resting, first.rest.index)
	}
}

// setAlarm sets the timer to the end of the first rest.
func (r *revision) setAlarm(now time.Time) {
	if len(r.resting) == 0 {
		if r.timer != nil && !r.alarmAt.IsZero() {
			r.timer.Stop()
			r.alarmAt = time.Time{}
		}
		return
	}
	at := r.resting[0].rest.until
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

// alarm ends the rests that are over and lets in who waited for those pods.
func (r *revision) alarm() {
	r.mu.Lock()
	now := time.Now()
	for len(r.resting) > 0 && !r.resting[0].rest.until.After(now) {
		p := r.resting[0]
		r.rouse(p)
		r.settle(p)
	}
	r.alarmAt = time.Time{}
	r.setAlarm(now)
	woken := r.serve()
	r.mu.Unlock()
	woken.wakeAll()
}

// restHeap has the pod whose rest ends first on top.
type restHeap []*pod

func (h restHeap) Len() int           { return len(h) }
func (h restHeap) Less(i, j int) bool { return h[i].rest.until.Before(h[j].rest.until) }

func (h restHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].rest.index, h[j].rest.index = i, j
}

func (h *restHeap) Push(x any) {
	p := x.(*pod)
	p.rest.index = len(*h)
	*h = append(*h, p)
}

func (h *restHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}
