package proxy

import "github.com/sluice-proxy/sluice/proxy/internal/netio"

const (
	// spliceFrom is what must be left of a body for a splice to be worth a pipe.
	spliceFrom = 256 << 10
	// spliceTail is left of an upload for next, which notes the end of the body before it sends it: an upstream that answers
	// at once finds the connection of further use.
	spliceTail = 1
)

// spliceUp makes a splice from f's client to c; nil when one of them is more than a socket.
func (f *flow) spliceUp(c *upstreamConn) *netio.Splice {
	if !f.c.direct || !c.plain {
		return nil
	}
	return netio.NewSplice(&f.h.pipes, &spliced{&f.clock, &f.c.in}, f.c.sock, c.sock)
}

// spliceDown makes one from c to f's client.
func (f *flow) spliceDown(c *upstreamConn) *netio.Splice {
	if !f.c.direct || !c.plain {
		return nil
	}
	return netio.NewSplice(&f.h.pipes, &spliced{&f.clock, &c.in}, c.sock, f.c.sock)
}

// spliced is what a splice takes from.
type spliced struct {
	clock *clock
	in    *readBuffer
}

func (s *spliced) Pending() bool { return s.in.len() > 0 }
func (s *spliced) Moved(n int)   { s.clock.touch(n) }
