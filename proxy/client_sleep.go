package proxy

// An idle connection needs no goroutine, whose stack is most of what it takes. After lookAfter it sleeps: the goroutine
// ends, and the watch, told of the first byte or the end, starts another.

// sleep readies the connection for the end of its goroutine; false: it goes on. It belongs to whoever rouses it as soon
// as it is asleep.
func (c *client) sleep() bool {
	c.unwake()
	if c.in.len() == 0 {
		c.bed, _ = c.e.h.watch.add(c.sock, c, true)
		if c.bed != 0 && c.phase.CompareAndSwap(clientDrowsy, clientAsleep) {
			c.e.sleeps.n.Add(1)
			if c.e.closed.Load() {
				c.rouse(clientClosed)
			}
			return true
		}
		c.rise()
	}
	c.phase.CompareAndSwap(clientDrowsy, clientIdle)
	return false
}

// rise ends what sleep began.
func (c *client) rise() {
	if c.bed != 0 {
		c.e.h.watch.remove(c.sock, c.bed)
		c.bed = 0
	}
}

// rouse gives a connection that sleeps a goroutine, which finds it in the phase to.
func (c *client) rouse(to int32) {
	if c.phase.CompareAndSwap(clientAsleep, to) {
		c.looked.Store(false)
		go c.live()
	}
}

// clientGone has the connection read: it is told to a sleeper that something has come, bytes or an end.
func (c *client) clientGone() {
	if !c.phase.CompareAndSwap(clientDrowsy, clientIdle) {
		c.rouse(clientIdle)
	}
}
