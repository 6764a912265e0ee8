package loop

import (
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Loop. Every field may be left out.
type Config struct {
	// Turn runs once in each turn: after input, posted functions and Tick, before output is sent.
	Turn func()
	// Tick is called in a turn, no earlier than Wake was asked for.
	Tick func(now time.Time)
	// Slow is told of each turn that took longer than SlowTurn. It runs under the lock.
	Slow func(took time.Duration)
	// Panicked is told what a Handler or a function panicked with, under the lock. The Handler's connection fails with
	// an error that says so; all others go on. Without it panics are not recovered.
	Panicked func(v any, stack []byte)
	// NoEpoll has goroutines serve plain sockets too. In a bubble of testing/synctest time stands still without it.
	NoEpoll bool
}

// SlowTurn is how long a turn may take. A longer one delays all connections of its Loop noticeably.
const SlowTurn = 10 * time.Millisecond

// CloseTimeout is how long the peer of a connection that has been closed may take to read what is left to send: less than 64 KiB
// and a write, if the Handler heeds Full. nginx allows as much for each write (send_timeout).
const CloseTimeout = time.Minute

// Stats of a Loop.
type Stats struct {
	Conns     int   // open ones
	SlowTurns int64 // that took longer than SlowTurn, since New
}

// Loop drives connections in turns. Make one with New.
type Loop struct {
	cfg       Config
	poller    poller
	inbox     inbox
	readers   sync.Pool      // of *[readSize]byte, for streams
	tasks     sync.WaitGroup // its goroutines
	conns     atomic.Int64
	slowTurns atomic.Int64

	fired atomic.Bool // timer has called

	mu      sync.Mutex // held during turns
	now     time.Time
	ending  bool // Close is at work
	closed  bool
	slots   []*Conn // nil: free
	free    []uint32
	serial  uint32
	later   []*Conn   // that go on in the next turn
	spare   []*Conn   // what later was
	dirty   []*Conn   // that have something to send
	buffers buffers   // of output
	closing []closing // in the order of their deadlines
	tick    time.Time // when Config.Tick is due; zero: it isn't
	timer   *time.Timer
	armed   time.Time // when timer will call; zero: it won't
}

// closing is a connection that has been closed and has output left; or had, and has gone.
type closing struct {
	slot, serial uint32
	until        time.Time
}

// poller is what a Loop waits with.
type poller interface {
	// run calls Loop.turn when there is something to do, until close.
	run()
	// wake has run call Loop.turn soon. It doesn't block.
	wake()
	// adopt takes c over, or leaves it alone and returns nil.
	adopt(c net.Conn, h Handler) *Conn
	// watch has c.hangup called when the peer of the socket below c closes its side, if it can.
	watch(c *Conn)
	// close ends run and waits for it.
	close()
}

// New makes a Loop and starts it. Close has to end it.
func New(c Config) (*Loop, error) {
	l := &Loop{cfg: c}
	l.readers.New = func() any { return new([readSize]byte) }
	l.timer = time.AfterFunc(time.Hour, func() {
		l.fired.Store(true)
		l.poke()
	})
	l.timer.Stop()
	if c.NoEpoll {
		l.poller = newBell(l)
	} else {
		p, err := newPoller(l)
		if err != nil {
			return nil, err
		}
		l.poller = p
	}
	go l.poller.run()
	return l, nil
}

// Add takes c over and has it served by h, from this turn on. The handshake of a TLS connection must have been made. A plain
// socket is c's no more. While the Loop closes, c is closed at once, and h isn't called.
func (l *Loop) Add(c net.Conn, h Handler) *Conn {
	if l.ending {
		c.Close()
		return &Conn{loop: l, nc: c, muted: true, gone: true}
	}
	if added := l.poller.adopt(c, h); added != nil {
		return added
	}
	s := newStream(l, c, h)
	l.poller.watch(s)
	return s
}

// Do runs f as a turn, on this goroutine. It reports false, and hasn't run f, if the Loop has been closed.
func (l *Loop) Do(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.beginLocked()
	l.call(f)
	l.finishLocked(false)
	return true
}

// Post has f run in a turn, which within a turn is this one, at its end, or the next. It doesn't block. It reports false, and f won't run, if the Loop has been closed.
func (l *Loop) Post(f func()) bool { return l.inbox.put(f, l.poller) }

// Now is when the turn began.
func (l *Loop) Now() time.Time { return l.now }

// Wake has Config.Tick called once, in a turn no earlier than at. Of several calls before that the earliest counts.
func (l *Loop) Wake(at time.Time) {
	if l.tick.IsZero() || at.Before(l.tick) {
		l.tick = at
	}
}

// Stats tells what there is now.
func (l *Loop) Stats() Stats {
	return Stats{Conns: int(l.conns.Load()), SlowTurns: l.slowTurns.Load()}
}

// Close runs what has been posted, ends all connections with net.ErrClosed, sends what can be sent at once, and waits for the
// Loop's goroutines: for a second at most if they write, and for as long as TLS needs to say goodbye, which is 5 seconds if the
// peer reads nothing.
func (l *Loop) Close() {
	if l.inbox.close() {
		l.mu.Lock()
		l.beginLocked()
		l.finishLocked(false)
		l.ending = true
		for _, c := range l.slots {
			if c != nil && !c.muted {
				c.muted = true
				c.callEnded(net.ErrClosed)
			}
		}
		l.finishLocked(false)
		l.closed = true
		for _, c := range l.slots {
			if c != nil {
				c.muted, c.closing = true, true
				c.d.stop()
			}
		}
		l.timer.Stop()
		l.mu.Unlock()
		l.poller.close()
	}
	l.tasks.Wait()
}

// turn is one of the poller's goroutine; input may be nil. It reports that another one is due.
func (l *Loop) turn(input func()) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.beginLocked()
	now := l.later
	l.later, l.spare = l.spare[:0], nil
	if input != nil {
		input()
	}
	for i, c := range now {
		now[i] = nil
		c.queued = false
		if c.drainDue {
			c.drainDue = false
			c.callDrained()
		}
		if !c.muted {
			c.d.goOn()
		}
	}
	l.spare = now[:0]
	return l.finishLocked(true)
}

func (l *Loop) beginLocked() {
	l.now = time.Now()
	if l.fired.Load() {
		l.fired.Store(false)
		l.armed = time.Time{}
	}
	for len(l.closing) > 0 && !l.now.Before(l.closing[0].until) {
		if c := l.connLocked(l.closing[0].slot, l.closing[0].serial); c != nil {
			c.Abort()
		}
		l.closing = l.closing[1:]
	}
}

// finishLocked is what a turn consists of besides input.
func (l *Loop) finishLocked(own bool) (more bool) {
	posted := l.inbox.take()
	for i, f := range posted {
		posted[i] = nil
		l.call(f)
	}
	l.inbox.giveBack(posted)
	if !l.tick.IsZero() && !l.now.Before(l.tick) {
		l.tick = time.Time{}
		l.callTick()
	}
	l.call(l.cfg.Turn)
	for i := 0; i < len(l.dirty); i++ { // what fails may make others dirty
		c := l.dirty[i]
		l.dirty[i] = nil
		c.dirty = false
		if !c.gone {
			c.d.send()
		}
	}
	l.dirty = l.dirty[:0]
	next := l.tick
	if len(l.closing) > 0 && (next.IsZero() || l.closing[0].until.Before(next)) {
		next = l.closing[0].until
	}
	if !next.IsZero() && (l.armed.IsZero() || next.Before(l.armed)) {
		l.armed = next
		l.timer.Reset(time.Until(next))
	}
	if took := time.Since(l.now); took > SlowTurn {
		l.slowTurns.Add(1)
		if l.cfg.Slow != nil {
			l.cfg.Slow(took)
		}
	}
	if more = len(l.later) > 0; more && !own {
		l.poke()
	}
	return more
}

// poke has the poller's goroutine run a turn.
func (l *Loop) poke() { l.inbox.ring(l.poller) }

// laterLocked has c go on in the next turn.
func (l *Loop) laterLocked(c *Conn) {
	if !c.queued {
		c.queued = true
		l.later = append(l.later, c)
	}
}

// enterLocked gives c a place among the Loop's connections.
func (l *Loop) enterLocked(c *Conn) {
	l.serial++
	c.serial = l.serial
	if n := len(l.free); n > 0 {
		c.slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		c.slot, l.slots = uint32(len(l.slots)), append(l.slots, nil)
	}
	l.slots[c.slot] = c
	l.conns.Add(1)
}

// leaveLocked ends what enterLocked began.
func (l *Loop) leaveLocked(c *Conn) {
	c.muted, c.gone = true, true
	l.slots[c.slot] = nil
	l.free = append(l.free, c.slot)
	l.conns.Add(-1)
	l.buffers.put(&c.out)
}

// connLocked finds a connection, if it is still the Loop's.
func (l *Loop) connLocked(slot, serial uint32) *Conn {
	if int64(slot) < int64(len(l.slots)) && l.slots[slot] != nil && l.slots[slot].serial == serial {
		return l.slots[slot]
	}
	return nil
}

// closesLocked bounds how long c, which has been closed, may send.
func (l *Loop) closesLocked(c *Conn) {
	if !c.bounded {
		c.bounded = true
		l.closing = append(l.closing, closing{c.slot, c.serial, l.now.Add(CloseTimeout)})
	}
}

func (l *Loop) call(f func()) {
	if f != nil {
		defer l.recovered()
		f()
	}
}

func (l *Loop) callTick() {
	if l.cfg.Tick != nil {
		defer l.recovered()
		l.cfg.Tick(l.now)
	}
}

// recovered is deferred around each call of a function.
func (l *Loop) recovered() {
	if l.cfg.Panicked == nil {
		return
	}
	if v := recover(); v != nil {
		l.cfg.Panicked(v, debug.Stack())
	}
}
