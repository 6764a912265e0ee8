package h2

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// F20: requests that are on their way are answered, those that are sent later can be sent again.
func TestF20ShutdownLosesNothing(t *testing.T) {
	h := serverHandler
	p := newPeer(t, serverConfig, h)
	step := func(said string, do ...func(p *peer)) {
		t.Helper()
		p.said = nil
		then(do...)(p)
		p.check(p.exchange())
		if got := strings.Join(p.said, ", "); got != said {
			t.Errorf("answered %q, want %q", got, said)
		}
	}
	p.check(p.WriteSettings())
	step("", ask(1, false))
	p.Shutdown()
	p.Shutdown()
	step("GOAWAY 2147483647 NO_ERROR, PING false, HEADERS 3 204 end", ask(3, true))
	step("", ask(5, false), word(http2.FramePing, 1, 0, "elsewise"))
	step("GOAWAY 5 NO_ERROR", word(http2.FramePing, 1, 0, shutdownPing))
	step("", ask(7, false, "new", "entry"), data(7, true, "x"), ask(9, true, "new", "entry"))
	if p.Done() {
		t.Error("done before its streams are")
	}
	step("HEADERS 1 204 end, HEADERS 5 204 end", data(1, true, "x"), data(5, true, "x"))
	if !p.Done() || p.Streams() != 0 {
		t.Error("not done")
	}
	p.said = nil
	p.Close(NoError)
	if err := p.exchange(); err == nil || strings.Join(p.said, ", ") != "GOAWAY 5 NO_ERROR" {
		t.Errorf("closed: %v, %q", err, p.said)
	}
}

func TestShutdownWhenIdsComeToAnEnd(t *testing.T) {
	p := newPeer(t, serverConfig, serverHandler)
	p.check(p.WriteSettings())
	p.ask(lastID+1, true)
	p.check(p.exchange())
	if got := strings.Join(p.said, ", "); got != "GOAWAY 2147483647 NO_ERROR, PING false, HEADERS 2147418113 204 end" {
		t.Errorf("answered %q", got)
	}
}

func TestAbandonEndsAll(t *testing.T) {
	var p *peer
	p = newPeer(t, serverConfig, calls{reset: func(s *Stream, _ Code) {
		s.WriteHead(200, nil, false)
		s.Reset(Cancel)
		if other := p.streams.find(1); other != nil {
			other.Reset(Cancel)
		}
	}})
	p.check(p.WriteSettings())
	then(ask(1, true), ask(3, true), ask(5, true))(p)
	p.check(p.exchange())
	p.Abandon(InternalError)
	if got := strings.Join(p.calls[3:], ", "); got != "Reset 5 INTERNAL_ERROR, Reset 3 INTERNAL_ERROR" || p.Streams() != 0 || len(p.out) > 0 {
		t.Errorf("%q, %d streams, said %q", got, p.Streams(), p.out)
	}
	p.ask(7, true)
	if err := p.exchange(); err == nil {
		t.Error("goes on")
	}
}
