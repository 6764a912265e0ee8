package h2

import (
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// side is one end of a connection in memory.
type side struct {
	Conn
	out  []byte
	rest []byte // what has come and was not taken
	errs []error
}

func (e *side) init(cfg Config, h Handler) {
	e.out, e.rest, e.errs = e.out[:0], e.rest[:0], nil
	e.Init(cfg, h, &e.out)
}

// move gives to what from has written, and tells from so.
func move(from, to *side) (moved bool) {
	return moveSome(from, to, len(from.out))
}

// moveSome moves n bytes.
func moveSome(from, to *side, n int) (moved bool) {
	to.rest = append(to.rest, from.out[:n]...)
	from.out = from.out[:copy(from.out, from.out[n:])]
	took, err := to.Input(to.rest)
	if err != nil {
		to.errs = append(to.errs, err)
	}
	to.rest = to.rest[:copy(to.rest, to.rest[took:])]
	if len(from.out) == 0 {
		from.Drained()
	}
	return n > 0 || took > 0
}

// settle moves bytes until there are none.
func settle(a, b *side) {
	for {
		x, y := move(a, b), move(b, a)
		if !x && !y {
			return
		}
	}
}

var (
	serverConfig = Config{MaxStreams: 100, StreamWindow: 1 << 16, ConnWindow: 1 << 20, MaxHead: 1 << 16, MaxFields: 100, MaxOut: 1 << 16}
	clientConfig = Config{Client: true, StreamWindow: 1 << 16, ConnWindow: 1 << 20, MaxHead: 1 << 16, MaxFields: 100, MaxOut: 1 << 16}
)

// calls is a Handler made of functions; what has none does nothing.
type calls struct {
	request   func(s *Stream, r *Request, end bool)
	oversized func(s *Stream, err error)
	response  func(s *Stream, status int, f h1.Fields, end bool)
	data      func(s *Stream, p []byte, end bool)
	trailers  func(s *Stream, f h1.Fields)
	reset     func(s *Stream, code Code)
	writable  func(s *Stream)
	settings  func()
	goAway    func(last uint32, code Code)
}

func (h *calls) Request(s *Stream, r *Request, end bool) {
	if h.request != nil {
		h.request(s, r, end)
	}
}

func (h *calls) Oversized(s *Stream, err error) {
	if h.oversized != nil {
		h.oversized(s, err)
	}
}

func (h *calls) Response(s *Stream, status int, f h1.Fields, end bool) {
	if h.response != nil {
		h.response(s, status, f, end)
	}
}

func (h *calls) Data(s *Stream, p []byte, end bool) {
	if h.data != nil {
		h.data(s, p, end)
	}
}

func (h *calls) Trailers(s *Stream, f h1.Fields) {
	if h.trailers != nil {
		h.trailers(s, f)
	}
}

func (h *calls) Reset(s *Stream, code Code) {
	if h.reset != nil {
		h.reset(s, code)
	}
}

func (h *calls) Writable(s *Stream) {
	if h.writable != nil {
		h.writable(s)
	}
}

func (h *calls) Settings() {
	if h.settings != nil {
		h.settings()
	}
}

func (h *calls) GoAway(last uint32, code Code) {
	if h.goAway != nil {
		h.goAway(last, code)
	}
}

func get(path string) *Request {
	return &Request{Method: "GET", Scheme: "http", Authority: "x", Path: path, Fields: h1.Fields{
		{Name: "User-Agent", Value: "test/1.0"}, {Name: "Accept", Value: "*/*"}, {Name: "Accept-Encoding", Value: "gzip, deflate"},
	}}
}

func TestRequestAndResponse(t *testing.T) {
	var a, b side
	var log []string
	say := func(s string) { log = append(log, s) }
	a.init(clientConfig, &calls{
		response: func(s *Stream, status int, f h1.Fields, end bool) {
			say("response " + f[0].Name + "=" + f[0].Value)
			if status != 200 && status != 103 || end || s.User != "call" {
				t.Errorf("Response(%d, %v) of a call of %v", status, end, s.User)
			}
		},
		data:     func(s *Stream, p []byte, end bool) { say("response's data " + string(p)); s.Credit(len(p)) },
		trailers: func(s *Stream, f h1.Fields) { say("trailers " + f[0].Name + "=" + f[0].Value) },
	})
	b.init(serverConfig, &calls{
		request: func(s *Stream, r *Request, end bool) {
			say(r.Method + " " + r.Scheme + "://" + r.Authority + r.Path + " " + r.Fields[0].Name)
			s.WriteHead(103, h1.Fields{{Name: "Link", Value: "</a>"}}, false)
		},
		data: func(s *Stream, p []byte, end bool) {
			say("request's data " + string(p))
			if s.Credit(len(p)); end {
				s.WriteHead(200, h1.Fields{{Name: "Content-Type", Value: "text/plain"}}, false)
				s.WriteData([]byte("hello"), false)
				s.WriteTrailers(h1.Fields{{Name: "X-End", Value: "1"}})
			}
		},
	})
	s := a.Open(get("/a"), false)
	s.User = "call"
	s.WriteData([]byte("one"), false)
	settle(&a, &b)
	s.WriteData([]byte("two"), true)
	settle(&a, &b)
	want := []string{
		"GET http://x/a user-agent", "request's data one", "response link=</a>", "request's data two",
		"response content-type=text/plain", "response's data hello", "trailers x-end=1",
	}
	if len(log) != len(want) {
		t.Fatalf("got %q, want %q", log, want)
	}
	for i := range want {
		if log[i] != want[i] {
			t.Errorf("got %q, want %q", log[i], want[i])
		}
	}
	if a.Streams() != 0 || b.Streams() != 0 || a.errs != nil || b.errs != nil {
		t.Errorf("%d and %d streams are left, %v, %v", a.Streams(), b.Streams(), a.errs, b.errs)
	}
}

// echo answers each request at once.
func echo() Handler {
	fields := h1.Fields{{Name: "Content-Type", Value: "text/plain"}, {Name: "Content-Length", Value: "5"}}
	body := []byte("hello")
	return &calls{request: func(s *Stream, _ *Request, _ bool) {
		s.WriteHead(200, fields, false)
		s.WriteData(body, true)
	}}
}

// interned makes strings without memory, but for the first time.
func interned() func([]byte) string {
	known := map[string]string{}
	return func(b []byte) string {
		s, ok := known[string(b)]
		if !ok {
			s = string(b)
			known[s] = s
		}
		return s
	}
}

func TestNothingIsAllocatedForARequest(t *testing.T) {
	var a, b side
	ac, bc := clientConfig, serverConfig
	ac.Intern, bc.Intern = interned(), interned()
	answers := 0
	a.init(ac, &calls{data: func(s *Stream, p []byte, _ bool) {
		s.Credit(len(p))
		answers++
	}})
	b.init(bc, echo())
	r := get("/a")
	run := func() {
		for range 8 {
			a.Open(r, true)
		}
		settle(&a, &b)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations for 8 requests", n)
	}
	if answers != 102*8 {
		t.Errorf("%d answers, %v, %v", answers, a.errs, b.errs)
	}
}

// A unary call of gRPC: a message each way, and trailers.
func TestNothingIsAllocatedForACall(t *testing.T) {
	var a, b side
	ac, bc := clientConfig, serverConfig
	ac.Intern, bc.Intern = interned(), interned()
	ends := 0
	head, end := h1.Fields{{Name: "Content-Type", Value: "application/grpc"}}, h1.Fields{{Name: "Grpc-Status", Value: "0"}}
	message := []byte("a message")
	a.init(ac, &calls{
		data:     func(s *Stream, p []byte, _ bool) { s.Credit(len(p)) },
		trailers: func(*Stream, h1.Fields) { ends++ },
	})
	b.init(bc, &calls{data: func(s *Stream, p []byte, _ bool) {
		s.Credit(len(p))
		s.WriteHead(200, head, false)
		s.WriteData(message, false)
		s.WriteTrailers(end)
	}})
	r := get("/service/method")
	run := func() {
		for range 8 {
			a.Open(r, false).WriteData(message, true)
		}
		settle(&a, &b)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations for 8 calls", n)
	}
	if ends != 102*8 {
		t.Errorf("%d ends, %v, %v", ends, a.errs, b.errs)
	}
}

func TestWhatIsWrittenBehindTheEndGoesNowhere(t *testing.T) {
	var a, b side
	a.init(clientConfig, &calls{})
	b.init(serverConfig, &calls{})
	settle(&a, &b)
	ended, gone := a.Open(get("/"), true), a.Open(get("/"), false)
	gone.Reset(Cancel)
	before := len(a.out)
	for _, s := range []*Stream{ended, gone} {
		if n := s.WriteData([]byte("content"), true); n != 7 {
			t.Errorf("%d bytes are taken: the rest would wait for ever", n)
		}
		s.WriteTrailers(nil)
		gone.Credit(1 << 20)
		gone.Reset(Cancel)
	}
	if len(a.out) != before {
		t.Errorf("%q was written", a.out[before:])
	}
}

// BenchmarkContent moves 1 MiB from the server to the client, in frames of 16 KiB, by 64 KiB of output.
func BenchmarkContent(b *testing.B) {
	var client, server side
	client.init(clientConfig, &calls{data: func(s *Stream, p []byte, _ bool) { s.Credit(len(p)) }})
	content, sent := make([]byte, 1<<20), 0
	write := func(s *Stream) { sent += s.WriteData(content[sent:], true) }
	server.init(serverConfig, &calls{
		request: func(s *Stream, _ *Request, _ bool) {
			s.WriteHead(200, nil, false)
			sent = 0
			write(s)
		},
		writable: write,
	})
	r := get("/a")
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		client.Open(r, true)
		settle(&client, &server)
	}
	if client.errs != nil || server.errs != nil || client.Streams() > 0 {
		b.Error(client.errs, server.errs)
	}
}

// BenchmarkRequest has both roles exchange small requests, eight at a time.
func BenchmarkRequest(b *testing.B) {
	var client, server side
	cc, sc := clientConfig, serverConfig
	cc.Intern, sc.Intern = interned(), interned()
	client.init(cc, &calls{data: func(s *Stream, p []byte, _ bool) { s.Credit(len(p)) }})
	server.init(sc, echo())
	r := get("/a")
	b.ReportAllocs()
	for i := 0; i < b.N; i += 8 {
		for range 8 {
			client.Open(r, true)
		}
		settle(&client, &server)
	}
}
