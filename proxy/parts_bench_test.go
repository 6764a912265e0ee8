package proxy

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// BenchmarkPart is what parts of an Engine's request cost alone, without a socket; see bench for the others.
func BenchmarkPart(b *testing.B) {
	h, err := New(Config{Name: "bench", Policy: policyOfNothing{}})
	if err != nil {
		b.Fatal(err)
	}
	e := NewEngine(h, ServerConfig{})
	b.Cleanup(func() { e.Close(); h.Close() })
	for _, fields := range []int{2, 14} {
		b.Run("part=edit/fields="+strconv.Itoa(fields), func(b *testing.B) { edit(b, e, fields) })
	}
	b.Run("part=pool", func(b *testing.B) { takeAndGive(b, e) })
}

// edit does to a head what a queue-proxy does: hop-by-hop fields go, the policy removes some and sets one, and what
// remains is written.
func edit(b *testing.B, e *Engine, fields int) {
	var head h1.Request
	err := head.Parse("GET /some/path HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive\r\n"+
		strings.Repeat("X-Some-Header: and what is in it\r\n", fields-2)+"\r\n", 100)
	if err != nil {
		b.Fatal(err)
	}
	f := &flow{e: e, h: e.h, c: &client{peer: "192.0.2.1"}, target: head.Target}
	buf := make([]byte, 0, 4<<10)
	var all h1.Fields
	b.ReportAllocs()
	for b.Loop() {
		all = append(all[:0], head.Fields...)
		f.head = head
		f.head.Fields = all
		header := Header{list: &f.head.Fields}
		if _, err := header.endConnection(e.h.cfg.EndToEnd); err != nil {
			b.Fatal(err)
		}
		for _, name := range []string{"Knative-Serving-Namespace", "Knative-Serving-Revision", "K-Network-Probe", "K-Original-Host"} {
			header.Del(name)
		}
		header.Set("Forwarded", "for=192.0.2.1")
		if buf = f.appendRequestHead(buf[:0], &Upstream{Addr: "192.0.2.2:8080"}); len(buf) == 0 {
			b.Fatal("nothing was written")
		}
	}
}

// takeAndGive takes a connection that was in use a moment ago, and gives it back.
func takeAndGive(b *testing.B, e *Engine) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	key := upstreamKey{addr: l.Addr().String(), proto: HTTP1}
	c, err := e.pool.dial(b.Context(), key)
	if err != nil {
		b.Fatal(err)
	}
	e.pool.give(c, time.Now(), 0)
	b.ReportAllocs()
	for b.Loop() {
		now := time.Now()
		c := e.pool.take(key, now, true)
		if c == nil {
			b.Fatal("the connection has gone")
		}
		e.pool.give(c, now, 0)
	}
}

type policyOfNothing struct{ Policy }
