package h2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// driven is an end that goroutines drive over a connection: one reads, one writes.
type driven struct {
	mu   sync.Mutex
	side side
	conn net.Conn
	more sync.Cond // there is output, or an end
	done bool
	err  error // why
	wg   sync.WaitGroup
}

func drive(conn net.Conn, cfg Config, h Handler) *driven {
	d := &driven{conn: conn}
	d.more.L = &d.mu
	d.side.init(cfg, h)
	d.wg.Go(d.read)
	d.wg.Go(d.write)
	return d
}

func (d *driven) read() {
	buf := make([]byte, 32<<10)
	for {
		n, err := d.conn.Read(buf)
		d.mu.Lock()
		if err == nil {
			d.side.rest = append(d.side.rest, buf[:n]...)
			n, err = d.side.Input(d.side.rest)
			d.side.rest = d.side.rest[:copy(d.side.rest, d.side.rest[n:])]
		}
		if err != nil {
			d.err = err
			d.side.Abandon(Cancel)
			d.done = true
		}
		d.more.Signal()
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (d *driven) write() {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.conn.Close()
	var out []byte
	for {
		for len(d.side.out) == 0 {
			if d.done {
				return
			}
			d.more.Wait()
		}
		out = append(out[:0], d.side.out...)
		d.side.out = d.side.out[:0]
		d.mu.Unlock()
		_, err := d.conn.Write(out)
		d.mu.Lock()
		if err != nil {
			return
		}
		d.side.Drained()
		n, _ := d.side.Input(d.side.rest) // what was not taken while there was too much output
		d.side.rest = d.side.rest[:copy(d.side.rest, d.side.rest[n:])]
	}
}

// do runs f, which may write.
func (d *driven) do(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	d.more.Signal()
}

// echoing answers each request with its content and trailers, at the pace at which they are read.
type echoing struct{ calls }

func newEcho() *echoing {
	e := &echoing{}
	pending := map[*Stream]*echoed{}
	e.request = func(s *Stream, r *Request, end bool) {
		pending[s] = &echoed{}
		s.WriteHead(103, nil, false)
		s.WriteHead(200, h1.Fields{{Name: "X-Path", Value: r.Path}}, end)
	}
	e.data = func(s *Stream, p []byte, end bool) {
		x := pending[s]
		x.content = append(x.content, p...)
		x.end = end
		x.write(s)
	}
	e.trailers = func(s *Stream, f h1.Fields) {
		x := pending[s]
		x.end, x.trailers = true, append(h1.Fields{}, f...)
		x.write(s)
	}
	e.writable = func(s *Stream) { pending[s].write(s) }
	return e
}

type echoed struct {
	content  []byte
	end      bool
	trailers h1.Fields
}

func (x *echoed) write(s *Stream) {
	n := s.WriteData(x.content, x.end && x.trailers == nil)
	s.Credit(n)
	if x.content = x.content[n:]; x.end && x.trailers != nil && len(x.content) == 0 {
		s.WriteTrailers(x.trailers)
	}
}

// pipe is a connection on loopback.
func pipe(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

func contents(n int) []byte {
	b := make([]byte, n)
	random := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = random.Read(b)
	return b
}

var bodies = []int{0, 1, 100, 16384, 16385, 70_000, 500_000}

func TestServerAgainstNetHTTP(t *testing.T) {
	client, server := pipe(t)
	cfg := serverConfig
	d := drive(server, cfg, newEcho())
	tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer d.wg.Wait()
	defer tr.CloseIdleConnections()
	var wg sync.WaitGroup
	for round := range 5 {
		for _, size := range bodies {
			if round == 0 {
				wg.Wait() // until the transport knows that one connection is enough
			}
			wg.Go(func() {
				content := contents(size)
				path := fmt.Sprint("/", size)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x"+path, struct{ io.Reader }{bytes.NewReader(content)})
				if err != nil {
					t.Error(err)
					return
				}
				r.Trailer = http.Header{"X-End": {"1"}}
				resp, err := tr.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil || !bytes.Equal(got, content) || resp.Header.Get("X-Path") != path || resp.Trailer.Get("X-End") != "1" {
					t.Errorf("%d bytes: %d came back, %v, %v, %v", size, len(got), err, resp.Header, resp.Trailer)
				}
			})
		}
	}
	wg.Wait()
	d.do(func() {
		if d.err != nil || d.side.Streams() > 0 {
			t.Errorf("ended with %v, %d streams are left", d.err, d.side.Streams())
		}
	})
}

// upload is a request of TestClientAgainstNetHTTP.
type upload struct {
	content  []byte
	sent     int
	got      []byte
	trailers h1.Fields
	status   int
	done     chan Code
}

func (u *upload) write(s *Stream) {
	u.sent += s.WriteData(u.content[u.sent:], false)
	if u.sent == len(u.content) {
		s.WriteTrailers(h1.Fields{{Name: "X-End", Value: "1"}})
	}
}

func uploadOf(s *Stream) *upload {
	u, _ := s.User.(*upload)
	return u
}

func TestClientAgainstNetHTTP(t *testing.T) {
	client, server := pipe(t)
	l := &oneConn{conn: server, closed: make(chan struct{})}
	srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("X-End", r.Trailer.Get("X-End"))
	})}
	srv.Protocols.SetUnencryptedHTTP2(true)
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	d := drive(client, clientConfig, &calls{
		response: func(s *Stream, status int, _ h1.Fields, end bool) {
			if u := uploadOf(s); status >= 200 {
				if u.status = status; end {
					u.done <- NoError
				}
			}
		},
		data: func(s *Stream, p []byte, end bool) {
			u := uploadOf(s)
			u.got = append(u.got, p...)
			if s.Credit(len(p)); end {
				u.done <- NoError
			}
		},
		trailers: func(s *Stream, f h1.Fields) {
			u := uploadOf(s)
			u.trailers = append(h1.Fields{}, f...)
			u.done <- NoError
		},
		reset:    func(s *Stream, code Code) { uploadOf(s).done <- code },
		writable: func(s *Stream) { uploadOf(s).write(s) },
	})
	var all []*upload
	for range 5 {
		for _, size := range bodies {
			u := &upload{content: contents(size), done: make(chan Code, 1)}
			all = append(all, u)
			d.do(func() {
				r := get("/")
				r.Method = "POST"
				r.Fields = append(r.Fields, h1.Field{Name: "Trailer", Value: "X-End"})
				s := d.side.Open(r, false)
				s.User = u
				u.write(s)
			})
		}
	}
	for _, u := range all {
		if code := <-u.done; code != NoError || u.status != 200 || !bytes.Equal(u.got, u.content) || len(u.trailers) != 1 || u.trailers[0].Value != "1" {
			t.Errorf("%d bytes: %v, status %d, %d came back, trailers %v", len(u.content), code, u.status, len(u.got), u.trailers)
		}
	}
	client.Close()
	d.do(func() { d.done = true })
	d.wg.Wait()
	_ = srv.Close()
	serving.Wait()
}

// oneConn is a listener that has one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
