package h2

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	xhpack "golang.org/x/net/http2/hpack"
)

// attack is what a peer does over and over, with ids of streams that haven't been used.
type attack struct {
	about string
	do    func(p *peer, id uint32)
	most  int // times that it is put up with
}

var attacks = []attack{
	{"resets (CVE-2023-44487)", func(p *peer, id uint32) { then(ask(id, false), reset(id))(p) }, maxResets},
	{"resets provoked by a wrong window (CVE-2025-8671)", func(p *peer, id uint32) { then(ask(id, false), grow(id, 0))(p) }, maxResets},
	{"resets provoked by content behind the end", func(p *peer, id uint32) { then(ask(id, true, "x", "slow"), data(id, false, "x"))(p) }, maxResets},
	{"malformed requests", func(p *peer, id uint32) { p.ask(id, true, "Upper", "case") }, maxResets},
	{"heads too large", func(p *peer, id uint32) { p.ask(id, true, "a", long, "b", long, "c", long, "d", long) }, maxResets},
	{"streams beyond the limit", func(p *peer, id uint32) { p.ask(id, false, "x", "slow") }, maxChores + 100},
	{"PING", func(p *peer, _ uint32) { p.ping() }, maxChores},
	{"SETTINGS", func(p *peer, _ uint32) { p.check(p.WriteSettings()) }, maxChores},
	{"window flips", func(p *peer, id uint32) { set(http2.SettingInitialWindowSize, id%4*1000)(p) }, maxChores},
	{"PRIORITY", func(p *peer, _ uint32) { word(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x00")(p) }, maxChores},
	{"unknown frames", func(p *peer, _ uint32) { word(0xbe, 0, 0, "x")(p) }, maxChores},
	{"GOAWAY", func(p *peer, _ uint32) { word(http2.FrameGoAway, 0, 0, "12345678")(p) }, maxChores},
	{"WINDOW_UPDATE", func(p *peer, _ uint32) { grow(0, 1)(p) }, maxChores},
	{"RST_STREAM of streams that are gone", func(p *peer, id uint32) {
		if id == 1 {
			p.ask(1, true)
		}
		reset(1)(p)
	}, maxChores},
	{"empty DATA", func(p *peer, id uint32) {
		if id == 1 {
			p.ask(1, false)
		}
		data(1, false, "")(p)
	}, maxChores},
	{"DATA of a byte", func(p *peer, id uint32) {
		if id == 1 {
			p.ask(1, false)
		}
		data(1, false, "x")(p)
	}, maxChores},
	{"DATA that is padding", func(p *peer, id uint32) {
		if id == 1 {
			p.ask(1, false)
		}
		word(http2.FrameData, 8, 1, "\x20"+long[:40])(p)
	}, maxChores},
}

// withoutTheSlow answers no request that has a field "x".
func withoutTheSlow() calls {
	h := serverHandler
	h.request = func(s *Stream, r *Request, end bool) {
		if end && r.Fields.Find("x", 0) < 0 {
			answered(s)
		}
	}
	return h
}

func TestAttacksEndTheConnection(t *testing.T) {
	for _, a := range attacks {
		p := newPeer(t, serverConfig, withoutTheSlow())
		p.check(p.WriteSettings())
		n := 0
		for ; n <= 2*a.most; n++ {
			a.do(p, uint32(2*n+1))
			if err := p.exchange(); err != nil {
				break
			}
		}
		if last := p.said[len(p.said)-1]; n > a.most || n < a.most/2 || !strings.HasSuffix(last, "ENHANCE_YOUR_CALM") {
			t.Errorf("%s: ended after %d times, by %q", a.about, n, last)
		}
		if len(p.calls) > 2*a.most+10 {
			t.Errorf("%s: %d calls of the handler", a.about, len(p.calls))
		}
	}
}

// The same things in between, by clients that mean well, are nothing of that kind.
func TestAnswersPayForChores(t *testing.T) {
	p := newPeer(t, serverConfig, serverHandler)
	p.check(p.WriteSettings())
	for id := uint32(1); id < 20_000; id += 4 {
		then(ask(id, true), ask(id+2, false), reset(id+2), grow(0, 1), grow(id, 1))(p)
		p.ping()
		p.check(p.exchange())
	}
}

func TestContentPaysForWindows(t *testing.T) {
	p := newPeer(t, serverConfig, calls{request: func(s *Stream, _ *Request, _ bool) { s.WriteHead(200, nil, false) }})
	p.check(p.WriteSettings())
	p.ask(1, true)
	p.check(p.exchange())
	s := p.streams.find(1)
	for range 10_000 { // small messages of gRPC, say, to a client that updates both windows after each
		if n := s.WriteData([]byte("small"), false); n != 5 {
			t.Fatalf("wrote %d bytes", n)
		}
		then(grow(0, 5), grow(1, 5))(p)
		p.check(p.exchange())
	}
}

func TestTimePaysForChores(t *testing.T) {
	now := time.Unix(0, 0)
	cfg := serverConfig
	cfg.Now = func() time.Time { return now }
	p := newPeer(t, cfg, serverHandler)
	p.check(p.WriteSettings())
	for range 10 * maxChores { // a keep-alive of gRPC
		p.ping()
		p.check(p.exchange())
		now = now.Add(10 * time.Second)
	}
	for range 2 * maxChores { // what is left, and what time has renewed
		p.ping()
		_ = p.exchange()
	}
	p.ping()
	if err := p.exchange(); err == nil {
		t.Error("a flood of PING is put up with")
	}
}

func TestHeaderBlocksHaveAnEnd(t *testing.T) {
	for about, fragment := range map[string]string{"large": long, "empty": ""} {
		p := newPeer(t, serverConfig, serverHandler)
		p.check(p.WriteSettings())
		p.check(p.exchange())
		if p.Unfinished() {
			t.Error("unfinished though all has come")
		}
		word(http2.FrameHeaders, 0, 1, "")(p)
		p.check(p.exchange())
		if !p.Unfinished() {
			t.Error("finished within a header block")
		}
		n := 0
		for ; n < 1000 && p.exchange() == nil; n++ {
			word(http2.FrameContinuation, 0, 1, fragment)(p)
		}
		if n > maxContinuation+1 || p.said[len(p.said)-1] != "GOAWAY 0 ENHANCE_YOUR_CALM" {
			t.Errorf("%s: ended after %d frames, %q", about, n, p.said)
		}
		if n := cap(p.side.block.compressed); n > 2*(minBlock+2*maxFrame) {
			t.Errorf("%d bytes are held", n)
		}
	}
}

// A small block that stands for a large list is decoded and costs no memory.
func TestHeaderBlocksThatExpand(t *testing.T) {
	p := newPeer(t, serverConfig, serverHandler)
	p.check(p.WriteSettings())
	p.ask(1, true, "a", strings.Repeat("x", 4000)) // enters the table, as entry 62
	p.check(p.exchange())
	b := append(p.encode(":method", "GET", ":scheme", "http", ":path", "/"), strings.Repeat("\xbe", 16000)...)
	p.check(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndStream: true, EndHeaders: true, BlockFragment: b}))
	p.check(p.exchange())
	if got := strings.Join(p.said, ", "); got != "HEADERS 1 204 end, HEADERS 3 431 end" || cap(p.spare.fields) > 1000 {
		t.Errorf("answered %q with a list of %d fields", got, cap(p.spare.fields))
	}
}

// What an upstream may do to a client.
func TestAttacksOfServers(t *testing.T) {
	for _, x := range []struct {
		about string
		do    func(p *peer, n int)
		most  int
		last  string // frame
	}{
		{"interim answers", func(p *peer, _ int) { p.head(1, false, ":status", "103") }, maxInterim, "RST 1 ENHANCE_YOUR_CALM"},
		{"PING", func(p *peer, _ int) { p.ping() }, maxChores, "GOAWAY 0 ENHANCE_YOUR_CALM"},
		{"GOAWAY", func(p *peer, _ int) { word(http2.FrameGoAway, 0, 0, "\x00\x00\x00\x03\x00\x00\x00\x00")(p) }, maxChores, "GOAWAY 0 ENHANCE_YOUR_CALM"},
		{"content of streams that are gone", func(p *peer, n int) {
			if n == 0 {
				p.streams.find(1).Reset(Cancel)
			}
			data(1, false, "x")(p)
		}, maxChores, "GOAWAY 0 ENHANCE_YOUR_CALM"},
		{"limits of streams", func(p *peer, n int) { set(http2.SettingMaxConcurrentStreams, uint32(n%2))(p) }, maxChores, "GOAWAY 0 ENHANCE_YOUR_CALM"},
	} {
		p := newPeer(t, clientConfig, clientHandler)
		p.check(p.WriteSettings())
		p.Open(get("/1"), false)
		p.check(p.exchange())
		n := 0
		for ; n <= 2*x.most && p.said[len(p.said)-1] != x.last; n++ {
			x.do(p, n)
			_ = p.exchange()
		}
		if n > x.most+1 || p.said[len(p.said)-1] != x.last {
			t.Errorf("%s: ended after %d, by %q", x.about, n, p.said[len(p.said)-1])
		}
	}
}

func TestWhenAClientOpens(t *testing.T) {
	p := newPeer(t, clientConfig, clientHandler)
	for i := range initialStreams {
		if p.Open(get("/"), true) == nil {
			t.Fatalf("only %d streams before SETTINGS", i)
		}
	}
	if p.CanOpen() || p.Open(get("/"), true) != nil {
		t.Error("more streams than the initial ones before SETTINGS")
	}
	p.check(p.WriteSettings())
	p.check(p.exchange())
	if !p.CanOpen() {
		t.Error("no stream though the server has no limit")
	}
	p.cfg.MaxStreams = 100
	if p.CanOpen() {
		t.Error("more streams than the client wants")
	}
	p.cfg.MaxStreams = 0
	set(http2.SettingMaxConcurrentStreams, 0)(p)
	p.check(p.exchange())
	if p.CanOpen() {
		t.Error("a stream although the server takes none")
	}
	set(http2.SettingMaxConcurrentStreams, 1000)(p)
	p.check(p.exchange())
	if p.highest = lastID; p.CanOpen() {
		t.Error("a stream although ids come to an end")
	}
	p.highest = 199
	word(http2.FrameGoAway, 0, 0, "\x7f\xff\xff\xff\x00\x00\x00\x00")(p)
	p.check(p.exchange())
	if p.CanOpen() {
		t.Error("a stream behind GOAWAY")
	}
}

func TestExtendedConnectIsAnnounced(t *testing.T) {
	cfg := serverConfig
	cfg.Connect = true
	var a, b side
	protocol := ""
	a.init(clientConfig, &calls{})
	b.init(cfg, &calls{request: func(_ *Stream, r *Request, _ bool) { protocol = r.Protocol }})
	settle(&a, &b)
	if !a.ExtendedConnect() {
		t.Error("the client doesn't know")
	}
	a.Open(&Request{Method: "CONNECT", Scheme: "https", Authority: "x", Path: "/chat", Protocol: "websocket"}, false)
	settle(&a, &b)
	if protocol != "websocket" {
		t.Errorf("protocol %q", protocol)
	}
}

func TestSmallerTableOfThePeer(t *testing.T) {
	p := newPeer(t, clientConfig, clientHandler)
	p.ReadMetaHeaders = xhpack.NewDecoder(64, nil)
	p.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(64)
	set(http2.SettingHeaderTableSize, 64)(p)
	p.check(p.exchange())
	for range 3 {
		p.Open(get("/"), true)
		p.read()
	}
	if len(p.said) != 3 {
		t.Errorf("said %q", p.said)
	}
}
