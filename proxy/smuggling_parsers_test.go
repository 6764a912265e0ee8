package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// parser is a server that tells what messages it has found, and wasn't written by us.
type parser struct {
	addr string
	// taken are the messages so far that came to their end.
	taken func() []seen
	// unsaid are fields that it doesn't tell of.
	unsaid []string
	// refused are messages that it doesn't take, though nothing is wrong with them: method and target, and why.
	refused map[string]string
}

// seen is a message as a parser has found it.
type seen struct {
	port                       int // of the connection's other end
	method, target, host, body string
	fields, trailers           http.Header
}

func (s *seen) is(marker string) bool { return s.method == http.MethodGet && s.target == marker }

// What has gone through two Engines to an app, byte for byte, is read by net/http and by a parser of somebody else's, and both find
// the same messages: the one that was sent, and as the next on its connection the next. Of what was refused they find none.
func TestParsersAgreeOnWhatIsForwarded(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *parser{
		"Node":         func(t *testing.T) *parser { return startNode(t, "strict") },
		"Node lenient": func(t *testing.T) *parser { return startNode(t, "lenient") },
		"nginx":        startNginx,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			w := startTap(t, p.addr)
			addr := w.addr
			for range 2 { // an activator and a queue-proxy
				addr = serveEngine(t, proxy.Config{Name: "x", Policy: toApp{addr: addr}})
			}
			var n, sent, refused, before int
			for about, messages := range corpus {
				for i, m := range messages {
					n++
					what := fmt.Sprintf("%s/%d: RFC %s: %q", about, i, m.rfc, m.sent)
					mark := fmt.Sprintf("/marker/%d", n)
					status := m.send(t, addr, mark)
					sent++ // the one before it
					if m.status > 0 {
						before++
						if status != m.status {
							t.Errorf("%s: answered %d", what, status)
						}
						continue
					}
					sent += 2
					all := p.upTo(t, mark)
					switch found := all[before:]; {
					case len(found) == 2 && status >= 400:
						refused++ // by the app: see agrees
					case len(found) != 3 || status != http.StatusOK:
						t.Errorf("%s: answered %d, found %+v", what, status, found)
					}
					before = len(all)
				}
			}
			w.agrees(t, p, sent-refused)
		})
	}
}

// send makes a request, and then sends a message and a marker after it, and returns the status of its answer. (As the first
// of their connections the messages are sent by TestNothingIsSmuggled.)
func (m ambiguous) send(t *testing.T, addr, mark string) (status int) {
	t.Helper()
	c, in := dialEngine(t, addr)
	defer c.Close()
	io.WriteString(c, "GET /first HTTP/1.1\r\nHost: f\r\n\r\n")
	readAnswer(t, in, "GET")
	io.WriteString(c, m.sent+"GET "+mark+" HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
	method, _, _ := strings.Cut(m.sent, " ")
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Errorf("%q: no answer: %v", m.sent, err)
		return 0
	}
	io.Copy(io.Discard, in)
	return resp.StatusCode
}

// upTo waits for a marker.
func (p *parser) upTo(t *testing.T, mark string) []seen {
	t.Helper()
	var all []seen
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if all = p.taken(); len(all) > 0 && all[len(all)-1].is(mark) {
			return all
		}
	}
	t.Fatalf("%s hasn't come: %+v", mark, all[max(0, len(all)-3):])
	return nil
}

// tap lies between an Engine and an app, and keeps what the app is sent.
type tap struct {
	addr string
	mu   sync.Mutex
	sent map[int]*bytes.Buffer // by the port that the app sees
}

func startTap(t *testing.T, app string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &tap{addr: l.Addr().String(), sent: map[int]*bytes.Buffer{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.carry(c, app) })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() }) // the connections end with the Engine, before
	return w
}

func (w *tap) carry(c net.Conn, app string) {
	defer c.Close()
	a, err := net.Dial("tcp", app)
	if err != nil {
		return
	}
	defer a.Close()
	kept := new(bytes.Buffer)
	w.mu.Lock()
	w.sent[a.LocalAddr().(*net.TCPAddr).Port] = kept
	w.mu.Unlock()
	var down sync.WaitGroup
	down.Go(func() { io.Copy(c, a); c.(*net.TCPConn).CloseWrite() })
	io.Copy(a, io.TeeReader(c, writerFunc(func(b []byte) (int, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return kept.Write(b)
	})))
	a.Close()
	down.Wait()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// agrees compares what the parser has found on each connection with what net/http finds in the same bytes: so many
// messages in all.
func (w *tap) agrees(t *testing.T, p *parser, messages int) {
	t.Helper()
	found := map[int][]seen{}
	for _, s := range p.taken() {
		found[s.port] = append(found[s.port], s)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	compared := 0
	for port, sent := range w.sent {
		want, got := netHTTPFinds(sent.Bytes(), port), found[port]
		if last := len(want) - 1; last == len(got) && p.refused[want[last].method+" "+want[last].target] != "" {
			want = want[:last]
		}
		if len(got) != len(want) {
			t.Errorf("of %q net/http finds %d messages, %+v, the other %d, %+v", sent, len(want), want, len(got), got)
			continue
		}
		for i := range want {
			compared++
			p.forget(&want[i])
			p.forget(&got[i])
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("message %d of %q: net/http finds %+v, the other %+v", i, sent, want[i], got[i])
			}
		}
	}
	if compared != messages {
		t.Errorf("%d messages were compared, %d have been sent", compared, messages)
	}
	t.Logf("%d messages on %d connections were compared", compared, len(w.sent))
}

func (p *parser) forget(s *seen) {
	for _, name := range append([]string{"Transfer-Encoding", "Trailer"}, p.unsaid...) { // net/http keeps those elsewhere
		delete(s.fields, name)
		if name == "Trailers" {
			s.trailers = http.Header{}
		}
	}
}

// netHTTPFinds are the messages of what a connection was sent that came to their end.
func netHTTPFinds(sent []byte, port int) (all []seen) {
	in := bufio.NewReader(bytes.NewReader(sent))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return all
		}
		s := seen{port: port, method: r.Method, target: r.RequestURI, host: r.Host, body: string(body), fields: r.Header, trailers: http.Header{}}
		for name, v := range r.Trailer {
			if len(v) > 0 {
				s.trailers[name] = v
			}
		}
		all = append(all, s)
	}
}
