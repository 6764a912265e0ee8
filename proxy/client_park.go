package proxy

// An idle connection needs no goroutine, whose stack is most of what it takes. After lookAfter it is parked: the goroutine
// ends, and the watch, told of the first byte or the end, starts another.

// park readies the connection for the end of its goroutine; false: it goes on. As soon as the connection is parked it belongs
// to whoever wakes it.
func (c *client) park() bool {
	c.undoInterrupt()
	if c.in.len() == 0 && c.watch((*dormant)(c), true) && c.phase.CompareAndSwap(clientParking, clientParked) {
		c.e.stacks.n.Add(1)
		if c.e.closed.Load() {
			c.wake(clientClosed)
		}
		return true
	}
	c.phase.CompareAndSwap(clientParking, clientIdle)
	return false
}

// wake gives a parked connection a goroutine, which finds it in the phase to.
func (c *client) wake(to int32) {
	if c.phase.CompareAndSwap(clientParked, to) {
		c.looked.Store(false)
		go c.live()
	}
}

// dormant is a client that waits for anything to come.
type dormant client

func (d *dormant) clientGone() {
	c := (*client)(d)
	if !c.phase.CompareAndSwap(clientParking, clientIdle) {
		c.wake(clientIdle)
	}
}

// watch has l told of the connection's end; with bytes of whatever comes first. It lasts until the next watch, or until
// the engine is done with the connection: two system calls for each slow request would be most when there are most of
// those. Not for two goroutines at once: see watchEnd.
func (c *client) watch(l leaver, bytes bool) (ok bool) {
	if c.sock != nil {
		c.watched, ok = c.e.h.watch.add(c.sock, l, bytes, c.watched)
	}
	return ok
}

// watchEnd watches for the client's end. The goroutine of a request and the scan for slow requests may both do so.
func (c *client) watchEnd() (ok bool) {
	c.watching.Lock()
	defer c.watching.Unlock()
	return c.watched != 0 && c.watched&anything == 0 || c.watch(c, false)
}

// unwatch ends the watch for a connection that goes on without the engine.
func (c *client) unwatch() {
	if c.watched != 0 {
		c.e.h.watch.remove(c.sock, c.watched)
		c.watched = 0
	}
}

// clientGone ends the request in progress, now if it is suspended or slow, or when it turns out to be: one that ends soon
// is answered, to a client that has only closed its half.
func (c *client) clientGone() {
	c.left.Store(true)
	if f := c.current.Load(); f != nil {
		f.clientLeft(c)
	}
}
