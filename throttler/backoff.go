package throttler

import (
	"container/heap"
	"math"
	"time"
)

// backOff is a pod's time out of use.
type backOff struct {
	until    time.Time
	why      backOffReason
	index    int    // in backOffs.pods
	epoch    uint32 // counts back-offs: the outcome of a lease given before the last one is ignored
	ejected  uint8  // failures in a row to be reached or to answer, each after the last ejection ended
	declined uint8  // the same for requests that the pod declined
}

type backOffReason uint8

const (
	inUse backOffReason = iota
	ejected
	declined
)

func (b *backOff) succeeded() { b.ejected, b.declined = 0, 0 }

// increment stops at the largest number.
func increment(n *uint8) {
	if *n < math.MaxUint8 {
		*n++
	}
}

// backOffs are the pods of a revision that are out of use, and the timer that ends the first back-off.
type backOffs struct {
	pods  backOffHeap
	timer *time.Timer
	fire  func()    // called by the timer
	at    time.Time // when; zero: the timer is not set
}

func (b *backOffs) add(p *pod) { heap.Push(&b.pods, p) }

func (b *backOffs) remove(p *pod) { heap.Remove(&b.pods, p.backOff.index) }

// over returns a pod whose back-off is over, or nil.
func (b *backOffs) over(now time.Time) *pod {
	if len(b.pods) == 0 || b.pods[0].backOff.until.After(now) {
		return nil
	}
	return b.pods[0]
}

// shorten ends the back-off of one own pod, the first to end, by latest.
func (b *backOffs) shorten(latest time.Time) {
	var first *pod
	for _, p := range b.pods {
		if p.Own && p.State == Ready && (first == nil || p.backOff.until.Before(first.backOff.until)) {
			first = p
		}
	}
	if first != nil && first.backOff.until.After(latest) {
		first.backOff.until = latest
		heap.Fix(&b.pods, first.backOff.index)
	}
}

// setTimer sets the timer to the end of the first back-off.
func (b *backOffs) setTimer(now time.Time) {
	if len(b.pods) == 0 {
		if b.timer != nil && !b.at.IsZero() {
			b.timer.Stop()
			b.at = time.Time{}
		}
		return
	}
	at := b.pods[0].backOff.until
	if at.Equal(b.at) {
		return
	}
	b.at = at
	if b.timer == nil {
		b.timer = time.AfterFunc(at.Sub(now), b.fire)
		return
	}
	b.timer.Reset(at.Sub(now))
}

// backOffHeap is a container/heap with the pod on top whose back-off ends first.
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
