package requestlog

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// stuck is an Out whose Write blocks until the test releases it.
type stuck struct {
	lines
	begun, open chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	select {
	case s.begun <- struct{}{}:
	default:
	}
	<-s.open
	return s.lines.Write(b)
}

func TestASlowOutHoldsNobodyUp(t *testing.T) {
	out := &stuck{begun: make(chan struct{}, 1), open: make(chan struct{})}
	l := newLog(t, Config{Out: out, Buffer: 1000})
	if err := l.Set(strings.Repeat("x", 99), true, false); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, l, editor{local: &proxy.Local{Status: 200}})
	get := func() { ask(t, addr, "GET / HTTP/1.1\nHost: h\nConnection: close\n\n") }
	get()
	<-out.begun // the first line is being written
	for range 50 {
		get()
	}
	if n := l.Dropped(); n != 40 {
		t.Errorf("%d lines dropped, want 40: ten fit", n)
	}
	close(out.open)
	out.await(t, 11)
	get()
	out.await(t, 12)
}

func TestCloseWritesWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{begun: make(chan struct{}, 1), open: make(chan struct{})}
		l, err := New(Config{Out: out})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l.out.put([]byte("a\n"))
		}
		<-out.begun
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close of a stuck log: %v", err)
		}
		l.out.put([]byte("late\n"))
		close(out.open)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(out.get()); n != 3 || l.Dropped() != 1 {
			t.Errorf("%d lines written and %d dropped, want 3 and the late one", n, l.Dropped())
		}
	})
}

func TestNothingRunsBeforeTheFirstLine(t *testing.T) {
	l, err := New(Config{Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Set("", true, true); err != nil {
		t.Fatal(err)
	}
	// Not closed: the leak check at the end of the package would find a goroutine.
	if l.out.running {
		t.Error("running without a line")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errWrite }

func TestLinesThatCannotBeWrittenAreCounted(t *testing.T) {
	l, err := New(Config{Out: failing{}})
	if err != nil {
		t.Fatal(err)
	}
	l.out.put([]byte("a\n"))
	l.out.put([]byte("b\n"))
	if err := l.Close(t.Context()); err != nil || l.Dropped() != 2 {
		t.Errorf("%d dropped, error %v", l.Dropped(), err)
	}
}

func TestABurstsBufferIsLetGo(t *testing.T) {
	var out lines
	l := newLog(t, Config{Out: &out})
	l.out.put([]byte(strings.Repeat("x", 200<<10)))
	for i := range 3 {
		out.await(t, i+1)
		l.out.put([]byte("a\n"))
	}
	out.await(t, 4)
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if n := cap(l.out.lines.text); n > maxKept {
		t.Errorf("%d bytes are kept for the next lines, want %d at most", n, maxKept)
	}
}

func TestOffCostsNoAllocation(t *testing.T) {
	l, err := New(Config{Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	w := l.Wrap(fixed{editor{}})
	req := &proxy.Request{Header: proxy.NewHeader(http.Header{})}
	if n := testing.AllocsPerRun(100, func() {
		if x := w.Begin(req); x == nil {
			t.Fatal("no exchange")
		}
	}); n > 0 {
		t.Errorf("%v allocations for a request that is not logged", n)
	}
}

// fixed is a policy that does not allocate.
type fixed struct{ x proxy.Exchange }

func (p fixed) Begin(*proxy.Request) proxy.Exchange { return p.x }
