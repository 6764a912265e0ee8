package h2

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// rule is what a peer does, and what it gets for that.
type rule struct {
	about string // section of RFC 9113
	do    func(p *peer)
	said  string // frames in return, but for SETTINGS and WINDOW_UPDATE
	calls string // of the handler
}

// word is a frame that the Framer has no method for.
func word(kind http2.FrameType, flags http2.Flags, id uint32, payload string) func(p *peer) {
	return func(p *peer) { p.check(p.WriteRawFrame(kind, flags, id, []byte(payload))) }
}

func then(all ...func(p *peer)) func(p *peer) {
	return func(p *peer) {
		for _, do := range all {
			do(p)
		}
	}
}

func ask(id uint32, end bool, fields ...string) func(p *peer) {
	return func(p *peer) { p.ask(id, end, fields...) }
}

func head(id uint32, end bool, fields ...string) func(p *peer) {
	return func(p *peer) { p.head(id, end, fields...) }
}

func data(id uint32, end bool, content string) func(p *peer) {
	return func(p *peer) { p.check(p.WriteData(id, end, []byte(content))) }
}

func reset(id uint32) func(p *peer) {
	return func(p *peer) { p.check(p.WriteRSTStream(id, http2.ErrCodeCancel)) }
}

func set(id http2.SettingID, value uint32) func(p *peer) {
	return func(p *peer) { p.check(p.WriteSettings(http2.Setting{ID: id, Val: value})) }
}

func grow(id, n uint32) func(p *peer) {
	return func(p *peer) { p.check(p.WriteWindowUpdate(id, n)) }
}

// answered is what a server of these tests does at the end of a request.
func answered(s *Stream) { s.WriteHead(204, nil, true) }

var serverHandler = calls{
	request: func(s *Stream, _ *Request, end bool) {
		if end {
			answered(s)
		}
	},
	data: func(s *Stream, p []byte, end bool) {
		if s.Credit(len(p)); end {
			answered(s)
		}
	},
	trailers:  func(s *Stream, _ h1.Fields) { answered(s) },
	oversized: func(s *Stream, _ error) { s.WriteHead(431, nil, true) },
}

var long = strings.Repeat("x", 16384)

var serverRules = []rule{
	{"a request", ask(1, true), "HEADERS 1 204 end", "Request 1 / end"},
	{"content", then(ask(1, false), data(1, false, "a"), data(1, true, "b")), "HEADERS 1 204 end", "Request 1 /, Data 1 a, Data 1 b end"},
	{"empty end", then(ask(1, false), data(1, true, "")), "HEADERS 1 204 end", "Request 1 /, Data 1  end"},
	{"trailers", then(ask(1, false), head(1, true, "a", "b")), "HEADERS 1 204 end", "Request 1 /, Trailers 1"},

	{"4.1 unknown frame", then(word(0xbe, 0xff, 7, "x"), ask(1, true)), "HEADERS 1 204 end", "Request 1 / end"},
	{"4.2 frame too large", word(http2.FrameData, 0, 1, long+"x"), "GOAWAY 0 FRAME_SIZE_ERROR", ""},
	{"4.3 malformed block", word(http2.FrameHeaders, 0x5, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "GOAWAY 0 COMPRESSION_ERROR", ""},
	{"4.3 frame within a block", then(word(http2.FrameHeaders, 0, 1, ""), word(http2.FramePing, 0, 0, "12345678")), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"4.3 block of another stream", then(word(http2.FrameHeaders, 0, 1, ""), word(http2.FrameContinuation, 4, 3, "")), "GOAWAY 0 PROTOCOL_ERROR", ""},

	{"5.1 DATA when idle", data(1, false, "x"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"5.1 RST_STREAM when idle", reset(1), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"5.1 WINDOW_UPDATE when idle", grow(1, 1), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"5.1 PRIORITY when idle", word(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x00"), "", ""},
	{"5.1 DATA behind the end", then(ask(1, true), data(1, false, "x")), "HEADERS 1 204 end, RST 1 STREAM_CLOSED", "Request 1 / end"},
	{"5.1 HEADERS behind the end", then(ask(1, true), ask(1, true)), "HEADERS 1 204 end, GOAWAY 1 STREAM_CLOSED", "Request 1 / end"},
	{"5.1 HEADERS behind RST_STREAM", then(ask(1, false), reset(1), ask(1, true)), "GOAWAY 1 STREAM_CLOSED", "Request 1 /, Reset 1 CANCEL"},
	{"5.1 WINDOW_UPDATE and RST_STREAM behind the end", then(ask(1, true), grow(1, 1), reset(1)), "HEADERS 1 204 end", "Request 1 / end"},
	{
		"5.1 all behind our RST_STREAM", then(ask(1, true, "Upper", "case"), data(1, false, "x"), head(1, true, "a", "b"), grow(1, 1), reset(1), ask(3, true)),
		"RST 1 PROTOCOL_ERROR, HEADERS 3 204 end", "Request 3 / end",
	},
	{"5.1.1 even id", ask(2, true), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"5.1.1 smaller id", then(ask(5, true), ask(3, true)), "HEADERS 5 204 end, GOAWAY 5 PROTOCOL_ERROR", "Request 5 / end"},
	{
		"5.1.2 too many streams", then(ask(1, false), ask(3, false), ask(5, false), ask(7, true), data(7, true, "x"), data(1, true, "")),
		"RST 7 REFUSED_STREAM, HEADERS 1 204 end", "Request 1 /, Request 3 /, Request 5 /, Data 1  end",
	},

	{"6.1 DATA of the connection", word(http2.FrameData, 0, 0, "x"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.1 padding", then(ask(1, false), word(http2.FrameData, 0x9, 1, "\x02x12")), "HEADERS 1 204 end", "Request 1 /, Data 1 x end"},
	{"6.1 only padding", then(ask(1, false), word(http2.FrameData, 0x9, 1, "\x0212")), "HEADERS 1 204 end", "Request 1 /, Data 1  end"},
	{"6.1 more padding than payload", then(ask(1, false), word(http2.FrameData, 0x8, 1, "\x0312")), "GOAWAY 1 PROTOCOL_ERROR", "Request 1 /"},
	{"6.1 no padding", then(ask(1, false), word(http2.FrameData, 0x8, 1, "")), "GOAWAY 1 FRAME_SIZE_ERROR", "Request 1 /"},
	{"6.2 HEADERS of the connection", word(http2.FrameHeaders, 4, 0, ""), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.2 more padding than payload", word(http2.FrameHeaders, 0xc, 1, "\x05x"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.2 no padding", word(http2.FrameHeaders, 0xc, 1, ""), "GOAWAY 0 FRAME_SIZE_ERROR", ""},
	{"6.2 no priority", word(http2.FrameHeaders, 0x24, 1, "1234"), "GOAWAY 0 FRAME_SIZE_ERROR", ""},
	{"6.2 padding and priority", func(p *peer) {
		p.check(p.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, EndStream: true, EndHeaders: true, PadLength: 9, Priority: http2.PriorityParam{StreamDep: 3},
			BlockFragment: p.encode(":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/"),
		}))
	}, "HEADERS 1 204 end", "Request 1 / end"},
	{"6.3 PRIORITY of the connection", word(http2.FramePriority, 0, 0, "12345"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.3 PRIORITY of 4 bytes", then(ask(1, false), word(http2.FramePriority, 0, 1, "1234")), "RST 1 FRAME_SIZE_ERROR", "Request 1 /, Reset 1 FRAME_SIZE_ERROR"},
	{"5.3.1 of RFC 7540, PRIORITY on itself", then(ask(1, false), word(http2.FramePriority, 0, 1, "\x00\x00\x00\x01x")), "RST 1 PROTOCOL_ERROR", "Request 1 /, Reset 1 PROTOCOL_ERROR"},
	{"5.3.1 of RFC 7540, HEADERS on itself", func(p *peer) {
		p.check(p.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, EndStream: true, EndHeaders: true, Priority: http2.PriorityParam{StreamDep: 1},
			BlockFragment: p.encode(":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/"),
		}))
	}, "RST 1 PROTOCOL_ERROR", ""},
	{"6.4 RST_STREAM", then(ask(1, false), reset(1)), "", "Request 1 /, Reset 1 CANCEL"},
	{"6.4 RST_STREAM of the connection", word(http2.FrameRSTStream, 0, 0, "1234"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.4 RST_STREAM of 3 bytes", then(ask(1, false), word(http2.FrameRSTStream, 0, 1, "123")), "GOAWAY 1 FRAME_SIZE_ERROR", "Request 1 /"},
	{"6.5 SETTINGS of a stream", word(http2.FrameSettings, 0, 1, ""), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.5 SETTINGS of 5 bytes", word(http2.FrameSettings, 0, 0, "12345"), "GOAWAY 0 FRAME_SIZE_ERROR", ""},
	{"6.5 acknowledgement with content", word(http2.FrameSettings, 1, 0, "123456"), "GOAWAY 0 FRAME_SIZE_ERROR", ""},
	{"6.5 acknowledged twice", then(word(http2.FrameSettings, 1, 0, ""), word(http2.FrameSettings, 1, 0, "")), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.5.2 ENABLE_PUSH 2", set(http2.SettingEnablePush, 2), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.5.2 window too large", set(http2.SettingInitialWindowSize, 1<<31), "GOAWAY 0 FLOW_CONTROL_ERROR", ""},
	{"6.5.2 frames too small", set(http2.SettingMaxFrameSize, 16383), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.5.2 frames too large", set(http2.SettingMaxFrameSize, 1<<24), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.5.2 unknown", then(set(0x99, 5), ask(1, true)), "HEADERS 1 204 end", "Request 1 / end"},
	{"6.6 PUSH_PROMISE", word(http2.FramePushPromise, 4, 1, "\x00\x00\x00\x02"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.7 PING", word(http2.FramePing, 0, 0, "12345678"), "PING true", ""},
	{"6.7 answer to no PING", word(http2.FramePing, 1, 0, "12345678"), "", ""},
	{"6.7 PING of a stream", word(http2.FramePing, 0, 1, "12345678"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.7 PING of 7 bytes", word(http2.FramePing, 0, 0, "1234567"), "GOAWAY 0 FRAME_SIZE_ERROR", ""},
	{"6.8 GOAWAY", then(ask(1, false), word(http2.FrameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00"), data(1, true, "")), "HEADERS 1 204 end", "Request 1 /, Data 1  end"},
	{"6.8 GOAWAY of a stream", word(http2.FrameGoAway, 0, 1, "12345678"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.8 GOAWAY of 7 bytes", word(http2.FrameGoAway, 0, 0, "1234567"), "GOAWAY 0 FRAME_SIZE_ERROR", ""},
	{"6.9 WINDOW_UPDATE of 3 bytes", word(http2.FrameWindowUpdate, 0, 0, "123"), "GOAWAY 0 FRAME_SIZE_ERROR", ""},
	{"6.9 WINDOW_UPDATE of nothing", grow(0, 0), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.9 WINDOW_UPDATE of nothing of a stream", then(ask(1, false), grow(1, 0)), "RST 1 PROTOCOL_ERROR", "Request 1 /, Reset 1 PROTOCOL_ERROR"},
	{"6.9.1 window too large", then(grow(0, 1<<31-1)), "GOAWAY 0 FLOW_CONTROL_ERROR", ""},
	{"6.9.1 window of a stream too large", then(ask(1, false), grow(1, 1<<31-1)), "RST 1 FLOW_CONTROL_ERROR", "Request 1 /, Reset 1 FLOW_CONTROL_ERROR"},
	{"6.9.2 window of a stream too large by SETTINGS", then(ask(1, false), grow(1, 1), set(http2.SettingInitialWindowSize, 1<<31-1)), "GOAWAY 1 FLOW_CONTROL_ERROR", "Request 1 /"},
	{"6.10 CONTINUATION of nothing", word(http2.FrameContinuation, 4, 1, ""), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.10 CONTINUATION", func(p *peer) {
		b := p.encode(":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/a")
		p.check(p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: b[:3]}))
		p.check(p.WriteContinuation(1, false, b[3:5]))
		p.check(p.WriteContinuation(1, true, b[5:]))
	}, "HEADERS 1 204 end", "Request 1 /a end"},
	{"6.10 CONTINUATION behind the end of a block", then(ask(1, false), word(http2.FrameContinuation, 4, 1, "")), "GOAWAY 1 PROTOCOL_ERROR", "Request 1 /"},

	{"8.1 second head without an end", then(ask(1, false), head(1, false, "a", "b")), "RST 1 PROTOCOL_ERROR", "Request 1 /, Reset 1 PROTOCOL_ERROR"},
	{"8.1.1 content longer than its length", then(ask(1, false, "content-length", "3"), data(1, false, "four")), "RST 1 PROTOCOL_ERROR", "Request 1 /, Reset 1 PROTOCOL_ERROR"},
	{"8.1.1 content shorter than its length", then(ask(1, false, "content-length", "3"), data(1, false, "on"), data(1, true, "")), "RST 1 PROTOCOL_ERROR", "Request 1 /, Data 1 on, Reset 1 PROTOCOL_ERROR"},
	{"8.1.1 trailers before the length is reached", then(ask(1, false, "content-length", "3"), data(1, false, "on"), head(1, true)), "RST 1 PROTOCOL_ERROR", "Request 1 /, Data 1 on, Reset 1 PROTOCOL_ERROR"},
	{"8.1.1 content of its length", then(ask(1, false, "content-length", "3"), data(1, false, "on"), data(1, true, "e")), "HEADERS 1 204 end", "Request 1 /, Data 1 on, Data 1 e end"},
	{"8.1.1 length without content", ask(1, true, "content-length", "3"), "RST 1 PROTOCOL_ERROR", ""},
	{"8.2.2 field of a connection in trailers", then(ask(1, false), head(1, true, "connection", "x")), "RST 1 PROTOCOL_ERROR", "Request 1 /, Reset 1 PROTOCOL_ERROR"},
	{"8.3 pseudo-header field in trailers", then(ask(1, false), head(1, true, ":path", "/")), "RST 1 PROTOCOL_ERROR", "Request 1 /, Reset 1 PROTOCOL_ERROR"},
	{"10.5.1 head too large", then(ask(1, true, "a", long, "b", long, "c", long, "d", long), ask(3, true)), "HEADERS 1 431 end, HEADERS 3 204 end", "Oversized 1, Request 3 / end"},
	{
		"10.5.1 too many fields", then(ask(1, false, slices.Repeat([]string{"a", "b"}, 101)...), data(1, false, "x"), head(1, true, "a", "b"), ask(3, true)),
		"HEADERS 1 431 end, RST 1 NO_ERROR, HEADERS 3 204 end", "Oversized 1, Request 3 / end",
	},
	{"10.5.1 as many fields as may be", ask(1, true, slices.Repeat([]string{"a", "b"}, 100)...), "HEADERS 1 204 end", "Request 1 / end"},
}

var clientHandler = calls{data: func(s *Stream, p []byte, _ bool) { s.Credit(len(p)) }}

// clientRules are of a client that has asked on stream 1, whose request goes on, and on 3, whose request is HEAD.
var clientRules = []rule{
	{"an answer", then(head(1, false, ":status", "200"), data(1, true, "x")), "", "Response 1 200, Data 1 x end"},
	{"without content", head(3, true, ":status", "204"), "", "Response 3 204 end"},
	{"trailers", then(head(1, false, ":status", "200"), head(1, true, "a", "b")), "", "Response 1 200, Trailers 1"},
	{"5.1 answer on an idle stream", head(5, true, ":status", "200"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"5.1 answer on an even stream", head(2, true, ":status", "200"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"5.1 answer behind the end", then(head(3, true, ":status", "200"), head(3, true, ":status", "200")), "GOAWAY 0 STREAM_CLOSED", "Response 3 200 end"},
	{"5.1 answer behind our RST_STREAM", then(func(p *peer) { p.streams.find(1).Reset(Cancel) }, head(1, false, ":status", "200"), data(1, true, "x")), "RST 1 CANCEL", ""},
	{"6.4 request that isn't wanted", then(head(1, true, ":status", "200"), reset(1)), "", "Response 1 200 end, Reset 1 CANCEL"},
	{"6.5.2 ENABLE_PUSH 1", set(http2.SettingEnablePush, 1), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{"6.6 PUSH_PROMISE", word(http2.FramePushPromise, 4, 1, "\x00\x00\x00\x02"), "GOAWAY 0 PROTOCOL_ERROR", ""},
	{
		"6.8 GOAWAY", then(word(http2.FrameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00"), head(1, true, ":status", "200"), head(3, true, ":status", "200")), "",
		"Reset 3 REFUSED_STREAM, GoAway 1 NO_ERROR, Response 1 200 end",
	},
	{"8.1 DATA before the head", data(1, false, "x"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.1 interim answer", then(head(1, false, ":status", "103", "a", "b"), head(1, true, ":status", "200")), "", "Response 1 103, Response 1 200 end"},
	{"8.1 interim answer with an end", head(1, true, ":status", "103"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.6 upgrade", head(1, false, ":status", "101"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.1.1 length without content", head(1, true, ":status", "200", "content-length", "3"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.1.1 length of an answer to HEAD", head(3, true, ":status", "200", "content-length", "3"), "", "Response 3 200 end"},
	{"8.1.1 empty DATA of an answer to HEAD", then(head(3, false, ":status", "200", "content-length", "3"), data(3, true, "")), "", "Response 3 200, Data 3  end"},
	{"8.1.1 length of 304", head(1, true, ":status", "304", "content-length", "3"), "", "Response 1 304 end"},
	{"8.1.1 content of an answer to HEAD", then(head(3, false, ":status", "200", "content-length", "3"), data(3, true, "one")), "RST 3 PROTOCOL_ERROR", "Response 3 200, Reset 3 PROTOCOL_ERROR"},
	{"8.2.1 upper-case name", head(1, true, ":status", "200", "A", "b"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.2.2 field of a connection", head(1, true, ":status", "200", "keep-alive", "timeout=5"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.3.2 no status", head(1, true, "a", "b"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.3.2 two of them", head(1, true, ":status", "200", ":status", "200"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.3.2 no number", head(1, true, ":status", "2x0"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.3.2 four digits", head(1, true, ":status", "2000"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"8.3.2 of a request", head(1, true, ":status", "200", ":path", "/"), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
	{"10.5.1 head too large", head(1, true, ":status", "200", "a", long, "b", long, "c", long, "d", long), "RST 1 PROTOCOL_ERROR", "Reset 1 PROTOCOL_ERROR"},
}

func TestServerKeepsTheRules(t *testing.T) {
	cfg := serverConfig
	cfg.MaxStreams = 3
	for _, r := range serverRules {
		p := newPeer(t, cfg, serverHandler)
		p.check(p.WriteSettings())
		r.check(t, p)
	}
}

func TestClientKeepsTheRules(t *testing.T) {
	for _, r := range clientRules {
		p := newPeer(t, clientConfig, clientHandler)
		p.check(p.WriteSettings())
		p.Open(get("/1"), false)
		p.Open(&Request{Method: "HEAD", Scheme: "http", Authority: "x", Path: "/3"}, true)
		p.check(p.exchange())
		p.said = nil
		r.check(t, p)
	}
}

func (r *rule) check(t *testing.T, p *peer) {
	t.Helper()
	r.do(p)
	_ = p.exchange()
	if got := strings.Join(p.said, ", "); got != r.said {
		t.Errorf("%s: answered %q, want %q", r.about, got, r.said)
	}
	if got := strings.Join(p.calls, ", "); got != r.calls {
		t.Errorf("%s: called %q, want %q", r.about, got, r.calls)
	}
}

func TestPrefaceAndSettingsComeFirst(t *testing.T) {
	for _, input := range []string{"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", Preface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", Preface + "\x00\x00\x00\x04\x01\x00\x00\x00\x00"} {
		p := newPeer(t, serverConfig, serverHandler)
		p.sent.Reset()
		p.sent.WriteString(input)
		if err := p.exchange(); err == nil || strings.Join(p.said, "") != "GOAWAY 0 PROTOCOL_ERROR" {
			t.Errorf("%q: %v, %q", input, err, p.said)
		}
	}
	p := newPeer(t, clientConfig, clientHandler)
	p.ping()
	if err := p.exchange(); err == nil || strings.Join(p.said, "") != "GOAWAY 0 PROTOCOL_ERROR" {
		t.Errorf("PING before a server's SETTINGS: %v, %q", err, p.said)
	}
}

func (p *peer) ping() { p.check(p.WritePing(false, [8]byte{})) }
