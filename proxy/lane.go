package proxy

import (
	"io"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// lane is one direction of a tunnel. Most upgraded connections say little, and there are many of them: what is little
// goes through a small buffer. What fills that goes from socket to socket, or through a large one, until it is little again.
type lane struct {
	t      *tunnel
	src    io.Reader
	dst    halfWriter
	splice *netio.Splice // nil: an end is more than a socket
	bytes  *atomic.Int64 // that have been written
	up     bool

	busy  bool
	spoke bool
	large *[copyBuffer]byte
	small [4 << 10]byte
}

// move moves what comes next. Its errors are the source's, and the sink's.
func (l *lane) move() (rerr, werr error) {
	if l.busy {
		n, err := l.splice.Take(netio.SpliceMost)
		if err != nil {
			return err, nil
		}
		if n > 0 {
			l.busy = n >= len(l.small)
			n, err = l.splice.Give()
			l.bytes.Add(int64(n))
			return nil, err
		}
	}
	return l.copy(l.buffer())
}

// copy is move by way of buf.
func (l *lane) copy(buf []byte) (rerr, werr error) {
	n, rerr := l.src.Read(buf)
	if n > 0 {
		if !l.up && !l.spoke { // never by a splice: the first bytes of a lane come here
			l.spoke = true
			l.t.clock.speak()
		}
		l.t.clock.touch(n)
		m, werr := l.dst.Write(buf[:n])
		l.bytes.Add(int64(m))
		if werr != nil {
			return nil, werr
		}
		l.t.clock.touch(n)
	}
	// A record of TLS is half of what the large buffer holds.
	if l.busy = n == len(buf) || n >= copyBuffer/2; !l.busy || l.splice != nil {
		l.rest()
	}
	return rerr, nil
}

func (l *lane) buffer() []byte {
	if !l.busy {
		return l.small[:]
	}
	if l.large == nil {
		l.large = l.t.h.buffer()
	}
	return l.large[:]
}

// rest gives the large buffer back.
func (l *lane) rest() {
	if l.large != nil {
		l.t.h.putBuffer(l.large)
		l.large = nil
	}
}
