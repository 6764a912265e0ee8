package loop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"
)

// kinds are the kinds of connections, each with the driver that it gets.
var kinds = []struct {
	name      string
	noEpoll   bool
	halfClose bool
	pair      func(t testing.TB) (ours, theirs net.Conn)
}{
	{"socket", false, true, tcpPair},
	{"unix", false, true, unixPair},
	{"goroutine", true, true, tcpPair},
	{"tls", false, true, tlsPair},
	{"pipe", false, false, func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() }},
}

// each runs a test for each kind, in a Loop of its own.
func each(t *testing.T, test func(t *testing.T, k *kind)) {
	eachThat(t, func(*kind) bool { return true }, test)
}

// eachThat does so for the kinds that can do what the test is about.
func eachThat(t *testing.T, can func(*kind) bool, test func(t *testing.T, k *kind)) {
	for _, one := range kinds {
		k := &kind{name: one.name, halfClose: one.halfClose, pair: one.pair}
		if !can(k) {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			k.Loop = newLoop(t, Config{NoEpoll: one.noEpoll})
			test(t, k)
		})
	}
}

type kind struct {
	*Loop
	name      string
	halfClose bool
	pair      func(t testing.TB) (ours, theirs net.Conn)
}

// dial gives the Loop a connection that h serves, and returns its other end.
func (k *kind) dial(t testing.TB, h *handler) net.Conn {
	ours, theirs := k.pair(t)
	t.Cleanup(func() { theirs.Close() })
	h.add(k.Loop, ours)
	if err := theirs.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return theirs
}

func newLoop(t testing.TB, c Config) *Loop {
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func tcpPair(t testing.TB) (ours, theirs net.Conn) { return listenPair(t, "tcp", "127.0.0.1:0") }

func unixPair(t testing.TB) (ours, theirs net.Conn) {
	return listenPair(t, "unix", t.TempDir()+"/s")
}

func listenPair(t testing.TB, network, address string) (ours, theirs net.Conn) {
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	theirs, err = net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func tlsPair(t testing.TB) (ours, theirs net.Conn) {
	ours, theirs = tcpPair(t)
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	server, client := tls.Server(ours, s.TLS), tls.Client(theirs, &tls.Config{InsecureSkipVerify: true})
	go client.Handshake()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// handler is a Handler of functions, and tells what has been called.
type handler struct {
	*Conn
	input   func(h *handler, p []byte) int
	onEnded func(h *handler, err error)
	onDrain func(h *handler)
	hungUp  chan struct{}
	over    chan error // of Ended
	order   []string
}

func (h *handler) add(l *Loop, c net.Conn) {
	h.hungUp, h.over = make(chan struct{}, 2), make(chan error, 4)
	l.Do(func() { h.Conn = l.Add(c, h) })
}

func (h *handler) Input(p []byte) int {
	if h.input == nil {
		return len(p)
	}
	return h.input(h, p)
}

func (h *handler) Hangup() {
	h.order = append(h.order, "hangup")
	h.hungUp <- struct{}{}
}

func (h *handler) Ended(err error) {
	h.order = append(h.order, "ended")
	if h.onEnded != nil {
		h.onEnded(h, err)
	}
	h.over <- err
}

func (h *handler) Drained() {
	if h.onDrain != nil {
		h.onDrain(h)
	}
}

// echo sends back what comes, and closes at the end.
func echo() *handler {
	return &handler{
		input: func(h *handler, p []byte) int {
			out := h.Out()
			*out = append(*out, p...)
			h.setDirty()
			if h.Full() {
				h.Pause()
			}
			return len(p)
		},
		onDrain: func(h *handler) { h.Resume() },
		onEnded: func(h *handler, err error) {
			if err == nil {
				h.Close()
			}
		},
	}
}

func wait[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatalf("%s hasn't come", what)
	}
	return v
}

// Bytes come back in order however large the pieces, and the end is passed on.
func TestEcho(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		h := echo()
		c := k.dial(t, h)
		random := rand.New(rand.NewPCG(1, 2))
		sent := make([]byte, 5<<20)
		for i := range sent {
			sent[i] = byte(random.Uint32())
		}
		var writer sync.WaitGroup
		writer.Go(func() {
			for p := sent; len(p) > 0; {
				n, err := c.Write(p[:min(len(p), 1+random.IntN(200_000))])
				if err != nil {
					t.Error(err)
					return
				}
				p = p[n:]
			}
			if k.halfClose {
				c.(interface{ CloseWrite() error }).CloseWrite()
			}
		})
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Error("other bytes came back")
		}
		writer.Wait()
		if !k.halfClose {
			c.Close()
		} else if n, err := c.Read(got); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v instead of the end", n, err)
		}
		if err := wait(t, h.over, "the end"); err != nil {
			t.Error(err)
		}
	})
}

// What a Handler leaves is given again in front of what follows.
func TestRestIsGivenAgain(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		const unit = 1000 // taken whole only
		var sum []byte
		done := make(chan struct{})
		h := &handler{input: func(_ *handler, p []byte) int {
			n := len(p) / unit * unit
			sum = append(sum, p[:n]...)
			if len(sum) == 300*unit {
				close(done)
			}
			return n
		}}
		c := k.dial(t, h)
		sent := make([]byte, 300*unit)
		for i := range sent {
			sent[i] = byte(i * 7 / 3)
		}
		for p := sent; len(p) > 0; {
			n, err := c.Write(p[:min(len(p), 777)])
			if err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		wait(t, done, "all")
		k.Do(func() {
			if !bytes.Equal(sum, sent) {
				t.Error("other bytes came")
			}
		})
	})
}

// A paused connection isn't read, which its peer notices; Resume goes on with what was left.
func TestPauseHoldsThePeerBack(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		const all = 64 << 20 // more than any socket's buffers
		got := 0
		started, done := make(chan struct{}), make(chan struct{})
		h := &handler{input: func(h *handler, p []byte) int {
			if got == 0 {
				close(started)
				h.Pause()
				got = 1
				return 1
			}
			if got += len(p); got == all {
				close(done)
			}
			return len(p)
		}}
		c := k.dial(t, h)
		var writer sync.WaitGroup
		defer writer.Wait()
		written := make(chan struct{})
		writer.Go(func() {
			defer close(written)
			p := make([]byte, 1<<20)
			for range all / len(p) {
				if _, err := c.Write(p); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wait(t, started, "input")
		select {
		case <-written:
			t.Fatal("all could be written while reading was paused")
		case <-time.After(50 * time.Millisecond): // it can't become true later
		}
		k.Do(func() {
			if got != 1 {
				t.Errorf("%d bytes have been given while paused", got)
			}
			h.Resume()
		})
		wait(t, done, "all")
	})
}

// CloseWrite comes after the output, and what the peer sends after that still comes.
func TestCloseWrite(t *testing.T) {
	eachThat(t, func(k *kind) bool { return k.halfClose }, func(t *testing.T, k *kind) {
		var got []byte
		h := &handler{input: func(_ *handler, p []byte) int { got = append(got, p...); return len(p) }}
		c := k.dial(t, h)
		k.Do(func() {
			out := h.Out()
			*out = append(*out, make([]byte, 3<<20)...)
			h.setDirty()
			h.CloseWrite()
		})
		b, err := io.ReadAll(c)
		if err != nil || len(b) != 3<<20 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		if _, err := c.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := wait(t, h.over, "the end"); err != nil {
			t.Error(err)
		}
		k.Do(func() {
			if string(got) != "late" {
				t.Errorf("%q came", got)
			}
			h.Close()
		})
	})
}

// Abort resets the peer's connection, also with output that it doesn't read.
func TestAbort(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		h := &handler{}
		c := k.dial(t, h)
		k.Do(func() {
			out := h.Out()
			*out = append(*out, make([]byte, 32<<20)...)
			h.setDirty()
		})
		k.Do(func() {
			h.Abort()
			if n := k.Stats().Conns; n != 0 {
				t.Errorf("the Loop has %d connections", n)
			}
		})
		n, err := io.Copy(io.Discard, c)
		if n == 32<<20 {
			t.Error("all has been sent")
		}
		if (k.name == "socket" || k.name == "goroutine") && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer sees %v", err)
		}
	})
}

// A Handler that heeds Full has little in memory, however slowly its peer reads.
func TestOutputIsBounded(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		const all, piece = 48 << 20, 10_000
		left, most := all, 0
		fill := func(h *handler) {
			out := h.Out()
			for left > 0 && !h.Full() {
				n := min(left, piece)
				*out = append(*out, make([]byte, n)...)
				left -= n
			}
			most = max(most, h.waiting())
			h.setDirty()
		}
		h := &handler{onDrain: fill}
		c := k.dial(t, h)
		k.Do(func() { fill(h) })
		if n, err := io.CopyN(io.Discard, c, all); err != nil {
			t.Fatalf("%v after %d bytes", err, n)
		}
		k.Do(func() {
			if most > full+drained+piece {
				t.Errorf("%d bytes waited", most)
			}
		})
	})
}

// A connection that has nothing to do holds no buffer of output, and nothing that it has read.
func TestIdleConnectionsHoldNothing(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		h := echo()
		c := k.dial(t, h)
		b := make([]byte, 100)
		for range 3 {
			go c.Write(make([]byte, len(b)))
			if _, err := io.ReadFull(c, b); err != nil {
				t.Fatal(err)
			}
		}
		for idle, end := false, time.Now().Add(time.Minute); !idle; { // its writer may not be back yet
			k.Do(func() {
				s, _ := h.d.(*stream)
				idle = h.out == nil && (s == nil || s.sending == nil && s.large == nil && s.have == 0)
			})
			if time.Now().After(end) {
				t.Fatal("it holds a buffer")
			}
		}
	})
}

// Close sends all output first, also what waits for the peer to read.
func TestCloseSendsTheOutput(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		h := &handler{}
		c := k.dial(t, h)
		k.Do(func() {
			out := h.Out()
			*out = append(*out, make([]byte, 16<<20)...)
			h.Close()
		})
		if n, err := io.Copy(io.Discard, c); err != nil || n != 16<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// A peer that has half-closed its side is told of once more when it resets the connection.
func TestResetAfterFIN(t *testing.T) {
	for _, noEpoll := range []bool{false, true} {
		l := newLoop(t, Config{NoEpoll: noEpoll})
		ours, theirs := tcpPair(t)
		h := &handler{}
		h.add(l, ours)
		theirs.(*net.TCPConn).CloseWrite()
		if err := wait(t, h.over, "the FIN"); err != nil {
			t.Fatal(err)
		}
		theirs.(*net.TCPConn).SetLinger(0)
		theirs.Close()
		if noEpoll { // nobody reads, so it shows in the next writes
			for len(h.over) == 0 {
				l.Do(func() {
					out := h.Out()
					*out = append(*out, 'x')
					h.setDirty()
				})
			}
		}
		if err := wait(t, h.over, "the RST"); err == nil {
			t.Error("a RST looks like a FIN")
		}
		l.Do(func() {
			if len(h.order) != 3 || !h.gone {
				t.Errorf("called: %v", h.order)
			}
		})
	}
}

// A RST that comes while reading is paused is told of at once, and again as the end.
func TestResetWhilePaused(t *testing.T) {
	l := newLoop(t, Config{})
	ours, theirs := tcpPair(t)
	h := &handler{}
	h.add(l, ours)
	l.Do(h.Pause)
	theirs.(*net.TCPConn).SetLinger(0)
	theirs.Close()
	wait(t, h.hungUp, "the hangup")
	l.Do(h.Resume)
	if err := wait(t, h.over, "the end"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("it ended with %v", err)
	}
}

// A connection that is reset fails with that error.
func TestReset(t *testing.T) {
	knowsRST := func(k *kind) bool { return k.name != "pipe" }
	eachThat(t, knowsRST, func(t *testing.T, k *kind) {
		h := &handler{}
		c := k.dial(t, h)
		inner := c
		if tc, ok := c.(*tls.Conn); ok {
			inner = tc.NetConn()
		}
		if tcp, ok := inner.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		inner.Close()
		err := wait(t, h.over, "the end")
		if _, unix := inner.(*net.UnixConn); !unix && err == nil {
			t.Error("a RST looks like a FIN")
		}
		k.Do(func() {
			if len(h.order) != 2 || h.order[0] != "hangup" {
				t.Errorf("called: %v", h.order)
			}
			h.Close()
		})
	})
}

// A peer that leaves is told of although reading is paused and bytes are unread; the bytes and the end come with Resume.
func TestHangupWhilePaused(t *testing.T) {
	for _, k := range kinds {
		if k.noEpoll || !k.halfClose {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			l := newLoop(t, Config{})
			var got []byte
			h := &handler{input: func(_ *handler, p []byte) int { got = append(got, p...); return len(p) }}
			ours, c := k.pair(t)
			h.add(l, ours)
			l.Do(h.Pause)
			if _, err := c.Write(make([]byte, 100_000)); err != nil {
				t.Fatal(err)
			}
			c.Close()
			wait(t, h.hungUp, "the hangup")
			select {
			case <-h.over:
				t.Fatal("it has ended before its bytes have been read")
			default:
			}
			l.Do(h.Resume)
			if err := wait(t, h.over, "the end"); err != nil {
				t.Error(err)
			}
			l.Do(func() {
				if len(got) != 100_000 {
					t.Errorf("%d bytes have come", len(got))
				}
				h.Close()
			})
		})
	}
}

// Detach sends the output, and returns a connection and what hasn't been taken.
func TestDetach(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		type detached struct {
			nc   net.Conn
			rest []byte
			err  error
		}
		got := make(chan detached, 1)
		h := &handler{input: func(h *handler, p []byte) int {
			if len(p) < 5 {
				return 0
			}
			out := h.Out()
			*out = append(*out, "switching"...)
			h.Detach(func(nc net.Conn, rest []byte, err error) { got <- detached{nc, rest, err} })
			return 3
		}}
		c := k.dial(t, h)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 9)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "switching" {
			t.Fatalf("%q, %v", b, err)
		}
		d := wait(t, got, "the connection")
		if d.err != nil || string(d.rest) != "lo" {
			t.Fatalf("rest %q, %v", d.rest, d.err)
		}
		defer d.nc.Close()
		go c.Write([]byte("more"))
		if _, err := io.ReadFull(d.nc, b[:4]); err != nil || string(b[:4]) != "more" {
			t.Fatalf("%q, %v", b[:4], err)
		}
		go d.nc.Write([]byte("back"))
		if _, err := io.ReadFull(c, b[:4]); err != nil || string(b[:4]) != "back" {
			t.Fatalf("%q, %v", b[:4], err)
		}
		if n := k.Stats().Conns; n != 0 {
			t.Errorf("the Loop has %d connections", n)
		}
	})
}

// Close of a Loop ends its connections, after what can be sent.
func TestLoopCloses(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		h := &handler{onEnded: func(h *handler, err error) {
			out := h.Out()
			*out = append(*out, "bye"...)
		}}
		c := k.dial(t, h)
		ran := false
		k.Post(func() { ran = true })
		read := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(c)
			read <- string(b)
		}()
		k.Close()
		if err := wait(t, h.over, "the end"); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if got := wait(t, read, "the last output"); got != "bye" {
			t.Errorf("%q was sent", got)
		}
		if !ran {
			t.Error("what was posted has not run")
		}
		if k.Post(func() {}) || k.Do(func() {}) {
			t.Error("the closed Loop runs functions")
		}
	})
}
