package proxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sluggish is a connection whose writes wait for room, one each; it keeps what has been written.
type sluggish struct {
	net.Conn // none; Read is not for it
	room     chan struct{}
	done     chan struct{}
	once     sync.Once
	late     chan struct{} // closed at the write deadline
	deadline sync.Once

	mu      sync.Mutex
	written [][]byte
	reading time.Time // until then
	fail    error
}

func newSluggish(room int) *sluggish {
	s := &sluggish{room: make(chan struct{}, 1000), done: make(chan struct{}), late: make(chan struct{})}
	for range room {
		s.room <- struct{}{}
	}
	return s
}

func (s *sluggish) Write(p []byte) (int, error) {
	select {
	case <-s.room:
	case <-s.done:
		return 0, net.ErrClosed
	case <-s.late:
		return 0, errors.New("too late")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	s.written = append(s.written, bytes.Clone(p))
	return len(p), nil
}

// SetWriteDeadline counts the first time, and for a write that waits already.
func (s *sluggish) SetWriteDeadline(t time.Time) error {
	s.deadline.Do(func() { time.AfterFunc(time.Until(t), func() { close(s.late) }) })
	return nil
}

func (s *sluggish) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = t
	return nil
}

func (s *sluggish) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

func (s *sluggish) all() (whole []byte, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Join(s.written, nil), len(s.written)
}

func mustWrite(t *testing.T, g *coalesced, p []byte) {
	t.Helper()
	if n, err := g.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write of %d bytes: %d, %v", len(p), n, err)
	}
}

func TestCoalescedWritesWhatCameMeanwhileAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSluggish(0)
		g := coalesce(s)
		defer g.Close()
		mustWrite(t, g, []byte("first "))
		synctest.Wait() // which hangs in its write
		for range 100 {
			mustWrite(t, g, []byte("more "))
		}
		s.room <- struct{}{}
		s.room <- struct{}{}
		synctest.Wait()
		whole, writes := s.all()
		if want := "first " + string(bytes.Repeat([]byte("more "), 100)); string(whole) != want || writes != 2 {
			t.Errorf("%d bytes in %d writes, want %d in 2", len(whole), writes, len(want))
		}
	})
}

// What comes in pieces of any size goes out in order, and all of it before the end.
func TestCoalescedKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSluggish(1000)
		g := coalesce(s)
		var want []byte
		for i := range 200 {
			p := bytes.Repeat([]byte{byte(i)}, 1+rand.IntN([...]int{20, 2000, 3 * maxCoalesced}[i%3]))
			want = append(want, p...)
			mustWrite(t, g, p)
			if i%7 == 0 {
				synctest.Wait()
			}
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if whole, _ := s.all(); !bytes.Equal(whole, want) {
			t.Errorf("%d bytes came, not the %d that were written", len(whole), len(want))
		}
		if _, err := g.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
	})
}

func TestCoalescedHoldsBackWhoSaysTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSluggish(0)
		g := coalesce(s)
		taken := 0
		ended := make(chan error, 1)
		go func() {
			for {
				n, err := g.Write(make([]byte, 1000))
				if taken += n; err != nil {
					ended <- err
					return
				}
			}
		}()
		synctest.Wait()
		if taken > 2*maxCoalesced { // what is being written, and what waits
			t.Errorf("%d bytes are held for a peer that doesn't read", taken)
		}
		begin := time.Now()
		_ = g.Close()
		<-ended
		if d := time.Since(begin); d > closeCoalesced {
			t.Errorf("Close took %v", d)
		}
	})
}

// Close says what waits to a peer that doesn't read for a moment only.
func TestCoalescedCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce(newSluggish(0))
		mustWrite(t, g, []byte("goodbye")) // Close may come before its write begins, or after
		begin := time.Now()
		_ = g.Close()
		if d := time.Since(begin); d > closeCoalesced {
			t.Errorf("Close took %v", d)
		}
	})
}

// What was said while a write was on its way goes out before the end, to a peer that reads.
func TestCoalescedCloseSaysWhatCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSluggish(0)
		g := coalesce(s)
		mustWrite(t, g, []byte("first "))
		synctest.Wait() // which hangs in its write
		mustWrite(t, g, []byte("goodbye"))
		time.AfterFunc(closeCoalesced/2, func() { s.room <- struct{}{}; s.room <- struct{}{} })
		_ = g.Close()
		if whole, _ := s.all(); string(whole) != "first goodbye" {
			t.Errorf("%q", whole)
		}
	})
}

func TestCoalescedFailureEndsReadingAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSluggish(1)
		s.fail = errors.New("reset")
		g := coalesce(s)
		defer g.Close()
		mustWrite(t, g, []byte("in vain"))
		synctest.Wait()
		if s.mu.Lock(); s.reading.IsZero() {
			t.Error("who only reads would not notice")
		}
		s.mu.Unlock()
		if _, err := g.Write([]byte("more")); !errors.Is(err, s.fail) {
			t.Errorf("the next Write: %v", err)
		}
	})
}

func TestCoalescedReadsAhead(t *testing.T) {
	a, b := net.Pipe()
	g := coalesce(a)
	defer g.Close()
	want := make([]byte, 3*readAhead)
	for i := range want {
		want[i] = byte(i * 7)
	}
	go func() {
		_, _ = b.Write(want[:readAhead/2]) // one read's, if that is asked for it
		_, _ = b.Write(want[readAhead/2:])
		_ = b.Close()
	}()
	var got []byte
	for _, n := range []int{9, 100, 9, readAhead, 1, 2 * readAhead} {
		p := make([]byte, n)
		m, err := io.ReadFull(g, p)
		got = append(got, p[:m]...)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			break
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, not the %d that came", len(got), len(want))
	}
}
