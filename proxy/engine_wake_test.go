package proxy

import (
	"bufio"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// connected makes a connection to an upstream, and the upstream's end of it.
func connected(t *testing.T) (c *upstreamConn, upstream net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := Config{Name: "x", Policy: nobody{}}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(h, ServerConfig{})
	c, err = e.pool.dial(t.Context(), upstreamKey{l.Addr().String(), nil, HTTP1})
	if err != nil {
		t.Fatal(err)
	}
	if upstream, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { upstream.Close(); e.pool.drop(c); e.Close(); h.Close() })
	_ = upstream.SetDeadline(time.Now().Add(time.Minute))
	return c, upstream
}

type nobody struct{}

func (nobody) Begin(*Request) Exchange { return nil }

// An interrupt that comes before the request is written doesn't lose it.
func TestAnInterruptBeforeTheRequestDoesNotLoseIt(t *testing.T) {
	c, upstream := connected(t)
	f := new(flow)
	f.attach(c)
	f.mu.Lock()
	f.interruptLocked()
	f.mu.Unlock()
	var app sync.WaitGroup
	app.Go(func() {
		if line, err := bufio.NewReader(upstream).ReadString('\n'); line != "request\n" {
			t.Errorf("the upstream got %q, %v", line, err)
		}
		io.WriteString(upstream, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	give := time.AfterFunc(10*time.Second, func() { f.mu.Lock(); defer f.mu.Unlock(); f.cause = errClientGone; c.SetDeadline(past()) })
	defer give.Stop()
	if err := (&flowAttempt{f: f, conn: c}).await([]byte("request\n"), nil); err != nil {
		t.Error(err)
	}
	upstream.Close()
	app.Wait()
}

// An answer that was there before the request is found, also by a flow that the scan has already found.
func TestAnAnswerBeforeTheRequestIsFound(t *testing.T) {
	c, upstream := connected(t)
	f := &flow{late: true}
	f.attach(c)
	io.WriteString(upstream, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
	for deadline := time.Now().Add(time.Minute); !c.hasNews(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing came")
		}
	}
	time.Sleep(50 * time.Millisecond) // for the poller to be told, so that nothing tells it again
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if err := (&flowAttempt{f: f, conn: c}).await([]byte("request\n"), nil); err != nil {
		t.Error(err)
	}
}
