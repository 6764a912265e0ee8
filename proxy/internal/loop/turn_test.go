package loop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// What was posted runs once and in order, whoever posts, and Post tells the truth about what came too late.
func TestPostStorm(t *testing.T) {
	for _, noEpoll := range []bool{false, true} {
		l := newLoop(t, Config{NoEpoll: noEpoll})
		const storms, posts = 8, 5000
		var last [storms]int
		var taken, ran atomic.Int64
		var storm sync.WaitGroup
		for i := range storms {
			storm.Go(func() {
				for n := 1; n <= posts; n++ {
					ok := l.Post(func() {
						ran.Add(1)
						if last[i] != n-1 {
							t.Errorf("%d follows %d", n, last[i])
						}
						last[i] = n
						if n == posts/2 {
							l.Post(func() { ran.Add(1) }) // may come too late
						}
					})
					if !ok {
						return
					}
					taken.Add(1)
				}
			})
		}
		storm.Go(func() {
			for taken.Load() < storms*posts/2 {
				l.Do(func() {})
			}
			l.Close()
		})
		storm.Wait()
		l.Close()
		if more := ran.Load() - taken.Load(); more < 0 || more > storms {
			t.Errorf("%d functions were taken, %d ran", taken.Load(), ran.Load())
		}
	}
}

// Posted functions run in a later turn than the one that posts them, which has its Tick and Turn before output is sent.
func TestOrderOfATurn(t *testing.T) {
	var got []string
	done := make(chan struct{})
	l := newLoop(t, Config{
		NoEpoll: true,
		Turn:    func() { got = append(got, "turn") },
		Tick:    func(time.Time) { got = append(got, "tick") },
	})
	l.Do(func() {
		got = append(got, "do")
		l.Post(func() {
			got = append(got, "posted")
			l.Post(func() { got = append(got, "late"); close(done) })
		})
		l.Wake(l.Now())
	})
	wait(t, done, "what was posted last")
	l.Close()
	if want := "do posted tick turn late turn"; !strings.HasPrefix(strings.Join(got, " "), want) {
		t.Errorf("%v instead of %v", got, want)
	}
}

// Tick is called once for the earliest time that was asked for.
func TestTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		var l *Loop // for Tick
		l, _ = New(Config{NoEpoll: true, Tick: func(now time.Time) {
			at = append(at, now.Sub(start))
			if len(at) == 1 {
				l.Wake(now.Add(time.Second))
			}
		}})
		defer l.Close()
		l.Do(func() {
			l.Wake(start.Add(10 * time.Second))
			l.Wake(start.Add(5 * time.Second))
			l.Wake(start.Add(7 * time.Second))
		})
		time.Sleep(time.Second)
		l.Do(func() { l.Wake(start.Add(3 * time.Second).Round(0)) })
		time.Sleep(time.Hour)
		l.Do(func() {
			if len(at) != 2 || at[0] != 3*time.Second || at[1] != 4*time.Second {
				t.Errorf("ticks after %v", at)
			}
		})
	})
}

func TestTickOfTheEpoll(t *testing.T) {
	ticks := make(chan time.Time, 1)
	l := newLoop(t, Config{Tick: func(now time.Time) { ticks <- now }})
	at := time.Now().Add(20 * time.Millisecond)
	l.Do(func() { l.Wake(at) })
	if now := wait(t, ticks, "the tick"); now.Before(at) {
		t.Errorf("the tick came %v early", at.Sub(now))
	}
}

// A closed connection whose peer reads nothing is given up.
func TestCloseTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := New(Config{NoEpoll: true})
		defer l.Close()
		ours, theirs := net.Pipe()
		defer theirs.Close()
		h := &handler{}
		h.add(l, ours)
		l.Do(func() {
			out := h.Out()
			*out = append(*out, "unread"...)
			h.Close()
		})
		time.Sleep(CloseTimeout - time.Second)
		synctest.Wait()
		if l.Stats().Conns != 1 {
			t.Error("it was given up early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if l.Stats().Conns != 0 {
			t.Error("it wasn't given up")
		}
	})
}

// The same of a socket, with the time moved.
func TestCloseTimeoutOfASocket(t *testing.T) {
	l := newLoop(t, Config{})
	ours, theirs := tcpPair(t)
	defer theirs.Close()
	h := &handler{}
	h.add(l, ours)
	l.Do(func() {
		out := h.Out()
		*out = append(*out, make([]byte, 32<<20)...)
		h.Close()
	})
	l.Do(func() {
		if len(l.closing) != 1 {
			t.Fatalf("%d connections close", len(l.closing))
		}
		l.closing[0].until = l.now
	})
	l.Do(func() {
		if len(l.closing) != 0 || !h.gone {
			t.Error("it wasn't given up")
		}
	})
}

// A Handler's panic ends its connection only, and a function's nothing.
func TestPanics(t *testing.T) {
	for _, noEpoll := range []bool{false, true} {
		panics := make(chan any, 10)
		turns := 0
		l := newLoop(t, Config{NoEpoll: noEpoll, Panicked: func(v any, stack []byte) {
			if !bytes.Contains(stack, []byte("turn_test.go")) {
				t.Errorf("the stack shows nothing of the cause: %s", stack)
			}
			panics <- v
		}, Turn: func() {
			if turns++; turns == 1 {
				panic("turn")
			}
		}})
		l.Do(func() { panic("do") })
		l.Post(func() { panic("post") })
		for _, want := range []string{"do", "turn", "post"} {
			if got := wait(t, panics, "the panic"); got != want {
				t.Errorf("%v instead of %v", got, want)
			}
		}
		bad := &handler{input: func(*handler, []byte) int { panic("input") }}
		worse := &handler{onEnded: func(*handler, error) { panic("ended") }}
		good := echo()
		for _, h := range []*handler{bad, worse, good} {
			ours, theirs := tcpPair(t)
			defer theirs.Close()
			h.add(l, ours)
			theirs.Write([]byte("hi"))
			switch h {
			case bad:
				if err := wait(t, h.over, "the end"); err == nil || !strings.Contains(err.Error(), "input") {
					t.Errorf("it ended with %v", err)
				}
				wait(t, panics, "the panic")
			case worse:
				theirs.Close()
				if got := wait(t, panics, "the panic"); got != "ended" {
					t.Errorf("%v", got)
				}
			case good:
				if _, err := io.ReadFull(theirs, make([]byte, 2)); err != nil {
					t.Error(err)
				}
			}
		}
		if n := l.Stats().Conns; n != 1 {
			t.Errorf("%d connections are left", n)
		}
	}
}

// A panic that nobody asked for goes on, and leaves the lock free.
func TestPanicOfDo(t *testing.T) {
	l := newLoop(t, Config{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		l.Do(func() { panic("do") })
	}()
	l.Do(func() {})
}

// A Handler that neither takes anything nor pauses would never hear of more.
func TestStuckHandler(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		h := &handler{input: func(*handler, []byte) int { return 0 }}
		c := k.dial(t, h)
		go c.Write(make([]byte, 1<<20))
		if err := wait(t, h.over, "the end"); !errors.Is(err, errStuck) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// What Input has left comes again after Resume, although nothing has come meanwhile and nothing may.
func TestResumeGivesTheRestAgain(t *testing.T) {
	each(t, func(t *testing.T, k *kind) {
		got := make(chan string, 10)
		wants := false
		h := &handler{input: func(_ *handler, p []byte) int {
			got <- string(p)
			if !wants {
				return 0
			}
			return len(p)
		}}
		c := k.dial(t, h)
		if _, err := c.Write([]byte("rest")); err != nil {
			t.Fatal(err)
		}
		if p := wait(t, got, "input"); p != "rest" {
			t.Fatalf("%q came", p)
		}
		k.Do(func() {
			wants = true
			h.Pause()
		})
		k.Do(h.Resume)
		if p := wait(t, got, "the rest"); p != "rest" {
			t.Errorf("%q came", p)
		}
		go c.Write([]byte("more"))
		if p := wait(t, got, "what follows"); p != "more" {
			t.Errorf("%q came", p)
		}
	})
}

// A slow turn is counted and told.
func TestSlowTurn(t *testing.T) {
	var told time.Duration
	l := newLoop(t, Config{NoEpoll: true, Slow: func(d time.Duration) { told = max(told, d) }})
	l.Do(func() { time.Sleep(SlowTurn + time.Millisecond) })
	l.Do(func() {
		if told <= SlowTurn {
			t.Errorf("it was told as %v", told)
		}
	})
	if l.Stats().SlowTurns == 0 {
		t.Error("it wasn't counted")
	}
}

// Nothing is lost, whatever a Handler takes and whenever it pauses, while both sides send.
func TestBothWaysAgainstModel(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				takes := rapid.SliceOfN(rapid.IntRange(0, 70_000), 1, 8).Draw(rt, "takes")
				pauses := rapid.SliceOfN(rapid.Bool(), 1, 8).Draw(rt, "pauses")
				sends := rapid.SliceOfN(rapid.IntRange(1, 150_000), 1, 4).Draw(rt, "sends")
				l, err := New(Config{NoEpoll: k.noEpoll})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				ours, theirs := k.pair(t)
				defer theirs.Close()
				theirs.SetDeadline(time.Now().Add(time.Minute))

				var want, got []byte
				for i, n := range sends {
					want = append(want, bytes.Repeat([]byte{byte(i + 1)}, n)...)
				}
				calls := 0
				done := make(chan struct{})
				h := &handler{input: func(h *handler, p []byte) int {
					n := min(len(p), takes[calls%len(takes)])
					if calls++; calls > 300 { // small pieces only for a while
						n = len(p)
					}
					if n < len(p) || pauses[calls%len(pauses)] { // nothing more may come
						h.Pause()
						l.Post(h.Resume)
					}
					got = append(got, p[:n]...)
					out := h.Out()
					*out = append(*out, p[:n]...)
					h.setDirty()
					if len(got) == len(want) {
						close(done)
					}
					return n
				}}
				h.add(l, ours)
				back := make(chan []byte, 1)
				go func() {
					b := make([]byte, len(want))
					n, _ := io.ReadFull(theirs, b)
					back <- b[:n]
				}()
				rest := want
				for _, n := range sends {
					if _, err := theirs.Write(rest[:n]); err != nil {
						rt.Fatal(err)
					}
					rest = rest[n:]
				}
				wait(t, done, "all")
				if b := wait(t, back, "all back"); !bytes.Equal(b, want) {
					rt.Errorf("%d bytes came back of %d, or others", len(b), len(want))
				}
				l.Do(func() {
					if !bytes.Equal(got, want) {
						rt.Errorf("%d bytes came of %d, or others", len(got), len(want))
					}
				})
			})
		})
	}
}
