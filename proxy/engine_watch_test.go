package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// toUpstream sends everything to one upstream.
type toUpstream struct {
	noContent
	addr    string
	results chan Result
}

func (p toUpstream) Begin(*Request) Exchange { return p }
func (p toUpstream) Next(*Request, Attempt) (Decision, error) {
	return Forward(Upstream{Addr: p.addr}), nil
}
func (p toUpstream) End(_ *Request, r Result) { p.results <- r }

// A connection is watched from its first slow request on. So an end is noticed during a later one, after it was parked as well,
// and before that one is slow.
func TestEngineWatchesForGood(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := make(chan struct{}, 1) // /never is at the upstream
	upstream := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			time.Sleep(2 * slowAfter)
		case "/never":
			at <- struct{}{}
			<-r.Context().Done()
		}
	})}
	go func() { _ = upstream.Serve(l) }()
	defer upstream.Close()
	p := toUpstream{addr: l.Addr().String(), results: make(chan Result, 1)}
	e, addr := looked(t, p, nil)

	for name, way := range map[string]func(c *net.TCPConn, ask func(path string)){
		"second": func(c *net.TCPConn, ask func(string)) { ask("/slow"); ask("/slow") },
		"slept": func(c *net.TCPConn, ask func(string)) {
			ask("/slow")
			e.parked(t, 1)
			ask("/")
			ask("/slow")
			e.parked(t, 1)
		},
		"fresh": func(*net.TCPConn, func(string)) {},
	} {
		t.Run(name, func(t *testing.T) {
			c, in := dialTCP(t, addr)
			way(c, func(path string) {
				get(t, c, path)
				if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusOK {
					t.Fatal(resp, err)
				}
				if r := <-p.results; r.Reason != ReasonNone {
					t.Fatalf("%+v", r)
				}
			})
			get(t, c, "/never")
			<-at
			c.Close()
			if r := <-p.results; r.Reason != ClientGone {
				t.Errorf("%+v", r)
			}
		})
	}

	c, in := dialTCP(t, addr)
	get(t, c, "/slow")
	if _, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	<-p.results
	get(t, c, "/never") // perhaps not as far as the upstream
	_ = c.CloseWrite()
	if r := <-p.results; r.Reason != ClientGone {
		t.Errorf("%+v", r)
	}
	e.gone(t)
}

func dialTCP(t *testing.T, addr string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c.(*net.TCPConn), bufio.NewReader(c)
}

func get(t *testing.T, c net.Conn, path string) {
	t.Helper()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

// inQueue suspends every request, and tells what ended the wait.
type inQueue struct {
	noContent
	waiting chan struct{}
	ended   chan error
}

func (p inQueue) Begin(*Request) Exchange { return p }
func (p inQueue) Next(r *Request, a Attempt) (Decision, error) {
	if a.Ended != nil {
		p.ended <- a.Ended
		return Decision{}, a.Ended
	}
	r.Suspend(Timeouts{})
	p.waiting <- struct{}{}
	return Wait(), nil
}

// Whoever leaves a queue makes room at once: it isn't left to the scan to find out.
func TestEngineWatchesAQueueFromTheFirst(t *testing.T) {
	t.Parallel()
	p := inQueue{waiting: make(chan struct{}, 1), ended: make(chan error, 1)}
	e, addr := looked(t, p, nil)
	e.scan.close()
	for range 3 {
		c, _ := dialTCP(t, addr)
		get(t, c, "/")
		<-p.waiting
		c.Close()
		if err := <-p.ended; ReasonOf(err) != ClientGone {
			t.Error(err)
		}
	}
	c, _ := dialTCP(t, addr)
	get(t, c, "/")
	_ = c.CloseWrite() // before or after it is watched
	<-p.waiting
	if err := <-p.ended; ReasonOf(err) != ClientGone {
		t.Error(err)
	}
}
