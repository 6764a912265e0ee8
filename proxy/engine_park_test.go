package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"
)

// sleeper is an Engine whose connections can be looked at.
func sleeper(t *testing.T, config *tls.Config) (e *Engine, addr string) {
	t.Helper()
	return looked(t, noContent{}, config)
}

func looked(t *testing.T, p Policy, config *tls.Config) (e *Engine, addr string) {
	t.Helper()
	h, err := New(Config{Name: "x", Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if config != nil {
		l = NewTLSListener(l, config)
	}
	e = NewEngine(h, ServerConfig{HeadTimeout: time.Hour}) // what ends a connection is not that
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Serve(l) }()
	t.Cleanup(func() { e.Close(); <-done; h.Close() })
	return e, addr
}

type noContent struct{ NopExchange }

func (noContent) Begin(*Request) Exchange { return noContent{} }
func (noContent) Next(*Request, Attempt) (Decision, error) {
	return Answer(&Local{Status: http.StatusNoContent}), nil
}

// parked blocks until n of the connections are parked.
func (e *Engine) parked(t *testing.T, n int) {
	t.Helper()
	e.inPhase(t, clientParked, "parked", n)
}

// inPhase blocks until n of the connections are in a phase.
func (e *Engine) inPhase(t *testing.T, phase int32, name string, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		got := 0
		e.mu.Lock()
		for c := range e.clients {
			if c.phase.Load() == phase {
				got++
			}
		}
		e.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are %s, want %d", got, name, n)
		}
	}
}

// gone blocks until the engine has no connection.
func (e *Engine) gone(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		e.mu.Lock()
		n := len(e.clients)
		e.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", n)
		}
	}
}

const askNothing = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func askOnce(t *testing.T, c net.Conn, pieces ...string) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			t.Fatal(err)
		}
	}
	var b [512]byte
	if n, err := c.Read(b[:]); err != nil || string(b[:12]) != "HTTP/1.1 204" {
		t.Fatalf("%q, %v", b[:n], err)
	}
}

// Idle connections are parked, in the clear and inside TLS, and serve on when they are woken; by a part of a head too. Their
// ends are noticed.
func TestEngineSleeps(t *testing.T) {
	t.Parallel()
	made := httptest.NewUnstartedServer(nil) // for its certificate
	made.StartTLS()
	defer made.Close()
	for name, config := range map[string]*tls.Config{"clear": nil, "TLS": {Certificates: made.TLS.Certificates}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, addr := sleeper(t, config)
			const n = 20
			var all [n]net.Conn
			for i := range all {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				if all[i] = c; config != nil {
					all[i] = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				defer all[i].Close()
				askOnce(t, all[i], askNothing)
			}
			for range 2 {
				e.parked(t, n)
				for i, c := range all {
					if at := i * 2 % len(askNothing); at > 0 {
						askOnce(t, c, askNothing[:at], askNothing[at:])
					} else {
						askOnce(t, c, askNothing)
					}
				}
			}
			e.parked(t, n)
			for _, c := range all {
				c.Close()
			}
			e.gone(t)
		})
	}
}

// What is parked is ended by the idle timeout, Shutdown and Close.
func TestEngineEndsSleepers(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Engine){
		"idle":     func(e *Engine) { e.cfg.IdleTimeout = time.Nanosecond },
		"shutdown": func(e *Engine) { _ = e.Shutdown(t.Context()) },
		"close":    func(e *Engine) { e.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			e, addr := sleeper(t, nil)
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			askOnce(t, c, askNothing)
			e.parked(t, 1)
			e.mu.Lock() // as the sweep does
			if name == "idle" {
				end(e)
				e.mu.Unlock()
			} else {
				e.mu.Unlock()
				end(e)
			}
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the connection: %v", err)
			}
			e.gone(t)
		})
	}
}

// A collection is asked for once after many have been parked, and when no more are.
func TestSleepsAreCollected(t *testing.T) {
	var s stacks
	for _, step := range []struct {
		more int64
		due  bool
	}{{manyStacks, false}, {10, false}, {0, true}, {0, false}, {manyStacks - 1, false}, {0, false}, {1, false}, {0, true}} {
		s.n.Add(step.more)
		if due := s.due(); due != step.due {
			t.Errorf("after %d: %v", s.n.Load(), due)
		}
	}
}

// Whose process it is says whether its garbage is collected after a burst: by itself an engine forces nothing.
func TestC13NoCollectionIsForced(t *testing.T) {
	for _, asked := range []bool{false, true} {
		e, addr := sleeper(t, nil)
		freed := make(chan struct{}, 10)
		e.mu.Lock() // as the sweep does
		if asked {
			e.cfg.FreeMemory = func() { freed <- struct{}{} }
		}
		e.mu.Unlock()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		askOnce(t, c, askNothing)
		e.stacks.n.Add(manyStacks)
		for deadline, looked := time.Now().Add(20*time.Second), false; !looked; time.Sleep(5 * time.Millisecond) {
			e.mu.Lock()
			looked = e.stacks.freed >= manyStacks
			e.mu.Unlock()
			if time.Now().After(deadline) {
				t.Fatal("the stacks are never looked at")
			}
		}
		if asked {
			select {
			case <-freed:
			case <-time.After(time.Minute):
				t.Error("nobody is asked to free memory")
			}
		}
		e.Close() // waits for what has been started
		runtime.ReadMemStats(&after)
		if n := after.NumForcedGC - before.NumForcedGC; n != 0 {
			t.Errorf("%d collections were forced", n)
		}
	}
}

// What Close has set a connection to, no interrupt that is over takes back: it could wait for its client for ever.
func TestUnwakeLeavesCloseAlone(t *testing.T) {
	e, addr := sleeper(t, nil)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{e: e, conn: conn}
	e.closed.Store(true)
	c.interrupt()
	c.undoInterrupt()
	read := make(chan error, 1)
	go func() { _, err := conn.Read(make([]byte, 1)); read <- err }()
	select {
	case err := <-read:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it reads on")
		conn.Close()
		<-read
	}
}
