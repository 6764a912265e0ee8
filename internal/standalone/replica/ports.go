package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// PortRange is a range of ports including both ends; as a flag, LOW-HIGH. It should not overlap with the ports of outgoing
// connections (32768–60999 on Linux, 49152–65535 on macOS): a connection may use one when it is needed.
type PortRange struct{ Low, High int }

// String returns LOW-HIGH.
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.Low, r.High) }

// Set reads LOW-HIGH.
func (r *PortRange) Set(s string) error {
	low, high, _ := strings.Cut(s, "-")
	var err1, err2 error
	r.Low, err1 = strconv.Atoi(low)
	r.High, err2 = strconv.Atoi(high)
	if err1 != nil || err2 != nil || r.Low < 1 || r.High > 65535 || r.High-r.Low < 2*blockSize-2 {
		return fmt.Errorf("should be LOW-HIGH, at least %d ports within 1-65535", 2*blockSize-1)
	}
	return nil
}

// blockSize is how many ports are claimed together; the first of them is the claim. Blocks begin at multiples of it, whatever
// the range, so that the claims of processes with different ranges exclude each other.
const blockSize = 32

// Ports allocates ports of a range on one address. It claims blocks by listening on the first port of each, so that several
// quickstarts on one machine never allocate the same port. It is safe for concurrent use.
type Ports struct {
	host string
	r    PortRange

	mu     sync.Mutex
	next   int // block to try
	claims []net.Listener
	free   []int // of claimed blocks; Release appends to it
}

// NewPorts returns Ports of r on host. The caller has to call Close.
func NewPorts(host string, r PortRange) *Ports {
	return &Ports{host: host, r: r, next: rand.IntN(r.blocks())}
}

// firstBlock returns the number of the first whole block of r.
func (r PortRange) firstBlock() int { return (r.Low + blockSize - 1) / blockSize }

// blocks returns how many whole blocks r has.
func (r PortRange) blocks() int { return (r.High+1)/blockSize - r.firstBlock() }

// Take returns n ports that are neither allocated nor in use.
func (p *Ports) Take(n int) ([]int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ports, busy []int
	fail := func(err error) ([]int, error) {
		p.free = append(p.free, slices.Concat(ports, busy)...)
		return nil, err
	}
	tries := p.r.blocks()
	for len(ports) < n {
		if len(p.free) == 0 {
			if tries == 0 {
				return fail(fmt.Errorf("no %d ports of %v are free on %s: give a larger range with -replica-ports", n, p.r, p.host))
			}
			tries--
			if err := p.claimLocked(); err != nil {
				return fail(err)
			}
			continue
		}
		port := p.free[0]
		p.free = p.free[1:]
		switch l, err := p.listen(port); {
		case err == nil:
			l.Close()
			ports = append(ports, port)
		case outOfFiles(err):
			busy = append(busy, port)
			return fail(tooFew(err))
		default:
			busy = append(busy, port)
		}
	}
	p.free = append(p.free, busy...)
	return ports, nil
}

// outOfFiles reports whether the process, or the machine, has reached its limit of open files.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func tooFew(err error) error { return fmt.Errorf("%w: raise the limit (ulimit -n)", err) }

// claimLocked tries the next block. It returns an error only if another block would fail, too.
func (p *Ports) claimLocked() error {
	first := (p.r.firstBlock() + p.next) * blockSize
	p.next = (p.next + 1) % p.r.blocks()
	l, err := p.listen(first)
	if outOfFiles(err) {
		return tooFew(err)
	}
	if err != nil {
		return nil
	}
	p.claims = append(p.claims, l)
	for port := first + 1; port < first+blockSize; port++ {
		p.free = append(p.free, port)
	}
	return nil
}

// Release returns ports.
func (p *Ports) Release(ports []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, ports...)
}

// Close ends all claims.
func (p *Ports) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.claims {
		l.Close()
	}
	p.claims = nil
}

func (p *Ports) listen(port int) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(p.host, strconv.Itoa(port)))
}
