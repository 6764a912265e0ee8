package proxy

import "time"

// idle is what a pool notes of a connection C while it is unused. C embeds it.
type idle[C any] struct {
	since      time.Time     // unused since
	keep       time.Duration // unused at most so long; 0: as configured
	prev, next *C            // in idleList
}

func (i *idle[C]) unused() *idle[C] { return i }

func (i *idle[C]) expired(now time.Time, limit time.Duration) bool {
	if i.keep > 0 && i.keep < limit {
		limit = i.keep
	}
	return now.Sub(i.since) >= limit
}

// idleList is a list of unused connections, the longest unused first.
type idleList[C any, P interface {
	*C
	unused() *idle[C]
}] struct {
	oldest, newest *C
	n              int
}

func (l *idleList[C, P]) push(c *C) {
	i := P(c).unused()
	i.prev, i.next = l.newest, nil
	if l.newest != nil {
		P(l.newest).unused().next = c
	} else {
		l.oldest = c
	}
	l.newest = c
	l.n++
}

func (l *idleList[C, P]) remove(c *C) {
	i := P(c).unused()
	if i.prev != nil {
		P(i.prev).unused().next = i.next
	} else {
		l.oldest = i.next
	}
	if i.next != nil {
		P(i.next).unused().prev = i.prev
	} else {
		l.newest = i.prev
	}
	i.prev, i.next = nil, nil
	l.n--
}
