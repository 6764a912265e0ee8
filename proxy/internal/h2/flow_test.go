package h2

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

func TestMoreThanTheWindow(t *testing.T) {
	cfg := serverConfig
	cfg.StreamWindow, cfg.ConnWindow = 100, initialWindow
	for _, x := range []struct {
		about string
		do    func(p *peer)
		said  string
	}{
		// Before SETTINGS are acknowledged the client may go by the initial window.
		{"before SETTINGS", then(ask(1, false), data(1, false, long), data(1, false, "x")), ""},
		{"after SETTINGS", then(word(http2.FrameSettings, 1, 0, ""), ask(1, false), data(1, false, long[:101])), "RST 1 FLOW_CONTROL_ERROR"},
		{"SETTINGS in between", then(ask(1, false), data(1, false, long), word(http2.FrameSettings, 1, 0, ""), data(1, false, "x")), "RST 1 FLOW_CONTROL_ERROR"},
		{"padding counts", then(word(http2.FrameSettings, 1, 0, ""), ask(1, false), word(http2.FrameData, 8, 1, "\x63"+long[:100])), "RST 1 FLOW_CONTROL_ERROR"},
		{"all of the window", then(word(http2.FrameSettings, 1, 0, ""), ask(1, false), data(1, false, long[:100])), ""},
	} {
		p := newPeer(t, cfg, calls{})
		p.check(p.WriteSettings())
		x.do(p)
		p.check(p.exchange())
		if got := strings.Join(p.said, ", "); got != x.said {
			t.Errorf("%s: answered %q, want %q", x.about, got, x.said)
		}
	}
	cfg.StreamWindow = 1 << 20
	p := newPeer(t, cfg, calls{})
	p.check(p.WriteSettings())
	p.ask(1, false)
	p.check(p.exchange())
	p.receiveWindow = 100
	data(1, false, long[:101])(p)
	if err := p.exchange(); err == nil || strings.Join(p.said, ", ") != "GOAWAY 1 FLOW_CONTROL_ERROR" {
		t.Errorf("more than the connection's window: %v, %q", err, p.said)
	}
}

// What nobody takes is credited to the connection nonetheless.
func TestDataOfStreamsThatAreGoneAreCredited(t *testing.T) {
	cfg := serverConfig
	cfg.ConnWindow = initialWindow
	p := newPeer(t, cfg, calls{request: func(s *Stream, _ *Request, _ bool) { s.Reset(Cancel) }})
	p.check(p.WriteSettings())
	p.ask(1, false)
	for range 100 {
		data(1, false, long)(p)
		p.check(p.exchange())
	}
	if p.receiveWindow < initialWindow*3/4 {
		t.Errorf("the connection's window is %d", p.receiveWindow)
	}
}

// SETTINGS make windows smaller, below zero too, and larger (RFC 9113 §6.9.2).
func TestWindowsChange(t *testing.T) {
	content := []byte(long)
	p := newPeer(t, serverConfig, calls{
		request: func(s *Stream, _ *Request, _ bool) {
			s.WriteHead(200, nil, false)
			s.User = s.WriteData(content, true)
		},
		writable: func(s *Stream) {
			sent, _ := s.User.(int)
			s.User = sent + s.WriteData(content[sent:], true)
		},
	})
	step := func(said string, do ...func(p *peer)) {
		t.Helper()
		p.said = nil
		then(do...)(p)
		p.check(p.exchange())
		if got := strings.Join(p.said, ", "); got != said {
			t.Errorf("answered %q, want %q", got, said)
		}
	}
	step("HEADERS 1 200, DATA 1 1000", set(http2.SettingInitialWindowSize, 1000), ask(1, true))
	step("", set(http2.SettingInitialWindowSize, 100))
	step("", grow(1, 900))
	step("DATA 1 1", grow(1, 1))
	step("", set(http2.SettingInitialWindowSize, 0))
	step("DATA 1 100", set(http2.SettingInitialWindowSize, 200))
	step("DATA 1 15283 end", grow(1, 1<<20))
}

// Streams take turns of 16 KiB, and what is small goes with the first of them.
func TestStreamsTakeTurns(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 100_000)
	size := map[string]int{"/large": 100_000, "/small": 10}
	left := map[*Stream][]byte{}
	write := func(s *Stream) {
		b := left[s]
		left[s] = b[s.WriteData(b, true):]
	}
	p := newPeer(t, serverConfig, calls{
		request: func(s *Stream, r *Request, _ bool) {
			s.WriteHead(200, nil, false)
			left[s] = large[:size[r.Path]]
			write(s)
		},
		writable: write,
	})
	request := func(id uint32, path string) {
		p.head(id, true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", path)
	}
	p.check(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}))
	grow(0, 1<<20)(p)
	request(1, "/large")
	request(3, "/large")
	request(5, "/small")
	p.check(p.exchange())
	p.said = slices.DeleteFunc(p.said, func(s string) bool { return strings.HasPrefix(s, "HEADERS") })
	want := []string{
		"DATA 1 16384", "DATA 1 16384", "DATA 1 16384", "DATA 1 16384", // 64 KiB, since nobody else wanted to write
		"DATA 1 16384", "DATA 3 16384", "DATA 5 10 end", "DATA 1 16384", "DATA 3 16384", "DATA 1 1696 end",
		"DATA 3 16384", "DATA 3 16384", "DATA 3 16384", "DATA 3 16384", "DATA 3 1696 end",
	}
	if !slices.Equal(p.said, want) {
		t.Errorf("frames were %q, want %q", p.said, want)
	}
}

// A server reads no more requests while the client doesn't read answers.
func TestInputIsBlockedByOutput(t *testing.T) {
	value := h1.Fields{{Name: "a", Value: long}}
	p := newPeer(t, serverConfig, calls{request: func(s *Stream, _ *Request, _ bool) { s.WriteHead(200, value, true) }})
	p.check(p.WriteSettings())
	for id := uint32(1); id < 200; id += 2 {
		p.ask(id, true)
	}
	in := p.sent.Bytes()
	n, err := p.Input(in)
	if err != nil || n == len(in) || !p.Blocked() || len(p.out) > 2*p.cfg.MaxOut+20_000 {
		t.Errorf("%d of %d bytes are taken, %v, blocked %v, %d bytes of output", n, len(in), err, p.Blocked(), len(p.out))
	}
	for range 100 {
		p.read()
		in = in[n:]
		if n, err = p.Input(in); err != nil {
			t.Fatal(err)
		}
	}
	if n != 0 || len(in) != 0 || p.Streams() != 0 || p.Blocked() {
		t.Errorf("%d bytes are left, %d streams", len(in), p.Streams())
	}
}

func TestResetWithinAFrame(t *testing.T) {
	for _, fromWithin := range []bool{true, false} {
		p := newPeer(t, serverConfig, calls{data: func(s *Stream, _ []byte, _ bool) {
			if fromWithin {
				s.Reset(Cancel)
			}
		}})
		p.check(p.WriteSettings())
		then(ask(1, false), data(1, true, long))(p)
		all := bytes.Clone(p.sent.Bytes())
		p.sent.Truncate(len(all) - 16000)
		p.check(p.exchange())
		if s := p.streams.find(1); s != nil {
			s.Reset(Cancel)
		}
		p.sent.Write(all[len(all)-16000:])
		p.ask(3, true)
		p.check(p.exchange())
		if got := strings.Join(p.calls, ", "); got != "Request 1 /, Data 1 "+long[:384]+", Request 3 / end" {
			t.Errorf("called %q", got)
		}
	}
}
