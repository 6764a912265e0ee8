package loop

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// smallRead is the buffer of a connection that waits: enough for most heads, little beside what the goroutine and TLS hold.
	smallRead = 1 << 10
	// closeGrace is how long a goroutine may go on writing at the Loop's end.
	closeGrace = time.Second
)

// stream is a connection that goroutines read and write. While it is idle it holds a goroutine and smallRead bytes.
type stream struct {
	Conn
	small       []byte
	large       *[readSize]byte // nil, or of Loop.readers
	have        int             // bytes at the front of the buffer that haven't been taken
	again       bool            // they are to be given again though nothing has come
	inRead      bool            // the reader has been let go to read
	interrupted bool            // by a deadline, for again
	parked      bool            // the reader waits for resume
	resume      chan struct{}   // of one
	writing     bool            // there is a writer
	sending     []byte          // by the writer
	shutWR      bool

	// reading is held while the reader is in Read, from within the turn before it. It guards what Read returned.
	reading sync.Mutex
	got     int
	fills   bool // the whole buffer
	err     error
}

func newStream(l *Loop, nc net.Conn, h Handler) *Conn {
	s := &stream{small: make([]byte, smallRead), resume: make(chan struct{}, 1)}
	s.Conn = Conn{loop: l, h: h, d: s, nc: nc}
	l.enterLocked(&s.Conn)
	l.tasks.Add(1)
	go s.read()
	return &s.Conn
}

// read is the reader. It ends with the connection, or at the end of what comes.
func (s *stream) read() {
	defer s.loop.tasks.Done()
	for more := s.next(false); more; more = s.next(true) {
		p := s.buffer()[s.have:]
		s.got, s.err = s.nc.Read(p)
		s.fills = s.got == len(p)
		s.reading.Unlock()
	}
}

// next runs a turn if there is news, waits while reading is paused, and reports whether to read, which s.reading is locked for
// then.
func (s *stream) next(news bool) bool {
	l := s.loop
	for {
		l.mu.Lock()
		s.inRead = false
		if (news || s.again) && !s.muted {
			l.beginLocked()
			s.deliver()
			l.finishLocked(false)
		}
		switch {
		case s.muted || s.ended:
			if s.muted && s.detach == nil {
				s.have = 0
			}
			if s.have == 0 {
				s.shrink()
			}
			l.mu.Unlock()
			return false
		case s.paused:
			s.parked = true
			l.mu.Unlock()
			<-s.resume
			news = true
			continue
		case s.again: // Pause and Resume were called in that turn
			l.mu.Unlock()
			continue
		}
		s.fit()
		s.inRead = true
		s.reading.Lock()
		l.mu.Unlock()
		return true
	}
}

// deliver gives the Handler what has come.
func (s *stream) deliver() {
	s.have += s.got
	s.got = 0
	if s.interrupted {
		s.interrupted = false
		_ = s.nc.SetReadDeadline(time.Time{})
		if errors.Is(s.err, os.ErrDeadlineExceeded) {
			s.err = nil
		}
	}
	s.again = s.again && s.paused
	if s.err != nil {
		s.hangup()
	}
	if s.have > 0 && !s.paused && !s.muted {
		s.have = s.take(s.buffer()[:s.have])
	}
	switch {
	case s.err == nil || s.paused || s.muted:
	case s.err == io.EOF:
		s.end()
	default:
		s.fail(s.err)
	}
}

func (s *stream) buffer() []byte {
	if s.large != nil {
		return s.large[:]
	}
	return s.small
}

// fit takes a large buffer for as long as reads fill it.
func (s *stream) fit() {
	switch {
	case s.large == nil && (s.fills || s.have == len(s.small)):
		s.large = s.loop.readers.Get().(*[readSize]byte)
		copy(s.large[:], s.small[:s.have])
	case s.large != nil && !s.fills && s.have <= smallRead/2:
		s.shrink()
	}
}

func (s *stream) shrink() {
	if s.large != nil {
		s.have = copy(s.small, s.large[:s.have])
		s.loop.readers.Put(s.large)
		s.large = nil
	}
}

// flush does nothing: a write may block.
func (s *stream) flush() {}

// quiet: a reader that isn't in Read has something, or is parked.
func (s *stream) quiet() bool {
	if !s.reading.TryLock() {
		return true
	}
	defer s.reading.Unlock()
	return s.parked && s.have == 0 && s.err == nil
}

func (s *stream) unread(p []byte) {
	s.again = true
	if len(p) > len(s.small) {
		s.large = s.loop.readers.Get().(*[readSize]byte)
	}
	s.have = copy(s.buffer(), p)
}

func (s *stream) resumed() {
	s.again = s.have > 0 || !s.inRead && s.err != nil
	if s.inRead && s.again {
		s.interrupted = true
		_ = s.nc.SetReadDeadline(time.Unix(1, 0)) // where there are no deadlines it has to wait for more
	}
	s.unpark()
}

func (s *stream) goOn() {}

func (s *stream) unpark() {
	if s.parked {
		s.parked = false
		s.resume <- struct{}{}
	}
}

// send has a goroutine write, unless one does.
func (s *stream) send() {
	if s.waiting() >= full {
		s.full = true
	}
	if s.closing {
		s.loop.closesLocked(&s.Conn)
	}
	if s.writing || s.gone {
		return
	}
	if len(s.out) == 0 {
		s.loop.buffers.put(&s.out)
	}
	if len(s.out) > 0 || s.closing || s.detach != nil || s.shut && !s.shutWR {
		s.writing = true
		s.sending, s.out = s.out, nil
		s.loop.tasks.Add(1)
		go s.write()
	}
}

// write is the writer. It ends when there is no output.
func (s *stream) write() {
	l := s.loop
	defer l.tasks.Done()
	for {
		var err error
		if len(s.sending) > 0 {
			_, err = s.nc.Write(s.sending)
		}
		l.mu.Lock()
		s.wrote += int64(len(s.sending)) // or the connection fails
		l.buffers.put(&s.sending)
		if !l.closed && (err != nil || s.full) { // else there is no news
			l.beginLocked()
			if err != nil && !s.gone {
				s.fail(err)
			}
			s.sent()
			l.finishLocked(false)
		}
		then := s.nextWriteLocked(err)
		l.mu.Unlock()
		if then == nil || !then() {
			return
		}
	}
}

// nextWriteLocked decides what follows a write, outside the lock; nil: nothing. What that returns says whether to write again.
func (s *stream) nextWriteLocked(err error) func() (again bool) {
	switch {
	case s.gone:
		return nil
	case len(s.out) > 0 && err == nil:
		s.sending, s.out = s.out, nil
		return func() bool { return true }
	case s.closing:
		s.leaveLocked()
		s.detached(nil, nil, net.ErrClosed)
		return func() bool { s.nc.Close(); return false }
	case s.shut && !s.shutWR:
		s.shutWR = true
		return func() bool {
			if c, ok := s.nc.(interface{ CloseWrite() error }); ok {
				_ = c.CloseWrite() // the next write fails too
			}
			return true
		}
	case s.detach != nil:
		return s.handBack
	}
	s.writing = false
	return nil
}

// handBack gets the reader out of Read and gives the connection to Detach's function.
func (s *stream) handBack() (again bool) {
	l := s.loop
	err := s.nc.SetReadDeadline(time.Unix(1, 0))
	if err == nil {
		s.reading.Lock()
		defer s.reading.Unlock()
		err = s.nc.SetReadDeadline(time.Time{})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.gone {
		return false // and Detach's function has been told
	}
	l.beginLocked()
	if err == nil {
		rest := slices.Clone(s.buffer()[:s.have+s.got])
		s.leaveLocked()
		s.detached(s.nc, rest, nil)
	} else {
		s.fail(err)
	}
	l.finishLocked(false)
	return false
}

func (s *stream) leaveLocked() {
	s.loop.leaveLocked(&s.Conn)
	s.unpark()
}

func (s *stream) cut(reset bool) {
	s.leaveLocked()
	if reset {
		inner := innermost(s.nc)
		if c, ok := inner.(interface{ SetLinger(int) error }); ok {
			_ = c.SetLinger(0)
		}
		inner.Close() // now: nothing more is sent
	}
	s.loop.tasks.Go(func() { s.nc.Close() }) // may take long: TLS says goodbye
}

// innermost is the connection below TLS and whatever else has a method NetConn.
func innermost(nc net.Conn) net.Conn {
	for {
		outer, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = outer.NetConn()
	}
}

func (s *stream) stop() {
	if s.detach != nil {
		s.cut(false)
		s.detached(nil, nil, net.ErrClosed)
		return
	}
	s.unpark()
	s.send()
	_ = s.nc.SetWriteDeadline(time.Now().Add(closeGrace))
}
