package proxy

import (
	"sync"
)

// unfinishedHeads are connections on which part of a head has come, the oldest first, and the memory of these parts. When
// that is beyond the limit the oldest is given up: those who send slowly go, and who comes with a head is read.
//
// A head that comes in one read is not listed.
type unfinishedHeads struct {
	limit int64

	mu         sync.Mutex
	head, tail *client
	bytes      int64
	refused    uint64
}

// unfinished is a connection's place in that list, guarded by its lock but for known, which is the connection's own.
type unfinished struct {
	next, prev *client
	bytes      int64 // 0: not listed
	known      int64 // bytes as last said; 0: nothing to take back
}

// hold says that c has an unfinished head in so many bytes of memory.
func (u *unfinishedHeads) hold(c *client, bytes int64) {
	if bytes == c.unfinished.known {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.unfinished.known == 0 {
		u.pushLocked(c)
	}
	if c.unfinished.known == 0 || c.unfinished.bytes > 0 { // or else it has been given up
		u.bytes += bytes - c.unfinished.bytes
		c.unfinished.bytes = bytes
	}
	c.unfinished.known = bytes
	for u.bytes > u.limit && u.head != nil {
		oldest := u.head
		u.removeLocked(oldest)
		if oldest.interruptFrom(clientHead, clientShed) {
			u.refused++
		}
	}
}

// drop says that c has none any more.
func (u *unfinishedHeads) drop(c *client) {
	if c.unfinished.known == 0 {
		return
	}
	c.unfinished.known = 0
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.unfinished.bytes > 0 {
		u.removeLocked(c)
	}
}

func (u *unfinishedHeads) pushLocked(c *client) {
	c.unfinished.prev = u.tail
	if u.tail != nil {
		u.tail.unfinished.next = c
	} else {
		u.head = c
	}
	u.tail = c
}

func (u *unfinishedHeads) removeLocked(c *client) {
	p := &c.unfinished
	if p.prev != nil {
		p.prev.unfinished.next = p.next
	} else {
		u.head = p.next
	}
	if p.next != nil {
		p.next.unfinished.prev = p.prev
	} else {
		u.tail = p.prev
	}
	u.bytes -= p.bytes
	p.next, p.prev, p.bytes = nil, nil, 0
}

func (u *unfinishedHeads) usage() Usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	return Usage{"unfinished_heads", u.bytes, u.limit, u.refused}
}

// errShed is why a head was given up.
func (u *unfinishedHeads) errShed() *Error {
	return headGivenUp.with(": more than %d bytes of them, the limit max-unfinished-heads", u.limit)
}
