package proxy

const (
	// spliceFrom is what must be left of a body for a splice to be worth a pipe.
	spliceFrom = 256 << 10
	// spliceMost is how much is moved at a time at most. With a quarter of it a GiB costs a third more.
	spliceMost = 1 << 20
	// spliceTail is left of an upload for next, which notes the end of the body before it sends it: an upstream that answers
	// at once finds the connection of further use.
	spliceTail = 1
)

// spliceUp makes a splice from f's client to c; nil when one of them is more than a socket.
func (f *flow) spliceUp(c *upstreamConn) *splice {
	if !f.c.direct || !c.plain {
		return nil
	}
	return newSplice(&f.h.pipes, &f.clock, &f.c.in, f.c.sock, c.sock)
}

// spliceDown makes one from c to f's client.
func (f *flow) spliceDown(c *upstreamConn) *splice {
	if !f.c.direct || !c.plain {
		return nil
	}
	return newSplice(&f.h.pipes, &f.clock, &c.in, c.sock, f.c.sock)
}
