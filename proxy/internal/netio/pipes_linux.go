package netio

import (
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize is asked for, and the kernel gives what it can: it is counted in pages, of which one takes each piece that
	// the network has received, be it ever so small.
	pipeSize = SpliceMost
	// maxPipes is how many are in use at most: as many of that size as a user without privileges may have
	// (fs.pipe-user-pages-soft, pipe(7)).
	maxPipes = 64
	// idlePipes is how many are kept unused.
	idlePipes = 32
)

// Pipes are those of splices. They are safe for concurrent use.
type Pipes struct {
	mu     sync.Mutex
	n      int // in use
	idle   []*pipe
	closed bool
}

// pipe is a pipe of the kernel's, neither end of which blocks.
type pipe struct {
	out, in int // descriptors
	holds   int // bytes
}

// get takes an empty one; nil: there is none to be had.
func (p *Pipes) get() *pipe {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		taken := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		p.n++
		return taken
	}
	if p.n >= maxPipes {
		return nil
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	p.n++
	return &pipe{out: fds[0], in: fds[1]}
}

// put gives one back. What still holds bytes is of no further use.
func (p *Pipes) put(used *pipe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n--
	if used.holds > 0 || p.closed || len(p.idle) >= idlePipes {
		used.close()
		return
	}
	p.idle = append(p.idle, used)
}

// Close closes those that are unused, now, and the others once they are.
func (p *Pipes) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, unused := range p.idle {
		unused.close()
	}
	p.idle = nil
}

// Count tells how many are in use, and how many are kept unused.
func (p *Pipes) Count() (used, unused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n, len(p.idle)
}

func (p *pipe) close() {
	unix.Close(p.out)
	unix.Close(p.in)
}
