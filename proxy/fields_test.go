package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// FuzzEndConnection: an Engine removes what a Handler does, of the same fields, and learns the same of them.
func FuzzEndConnection(f *testing.F) {
	for _, s := range []string{"close", "X-A, upgrade", "x-a,,X-KEEP , te", "Keep-Alive,Content-Length", "host,expect,Connection", ""} {
		f.Add(s, "websocket", "X-A: 1\nX-B: 2\nTE: gzip, trailers\nKeep-Alive: x")
	}
	f.Fuzz(func(t *testing.T, options, upgrade, more string) {
		text := "GET / HTTP/1.1\r\nHost: x\r\nConnection: " + options + "\r\nUpgrade: " + upgrade + "\r\nX-Keep: k\r\n" +
			strings.ReplaceAll(more, "\n", "\r\n") + "\r\n\r\n"
		var r h1.Request
		if end, _, err := h1.HeadEnd([]byte(text), 0, false); err != nil || end != len(text) || r.Parse(text, 100) != nil {
			return
		}
		keep := []string{"X-Keep"}
		theirs := httpHeader(r.Fields)
		delete(theirs, "Host") // which net/http keeps apart, as it does Trailer
		list := Header{list: &r.Fields}
		o, err := list.endConnection(keep)
		s, theirErr := NewHeader(theirs).endConnection(keep)
		if err != theirErr {
			t.Fatalf("%q: ours %v, the Handler's %v", text, err, theirErr)
		}
		if err != nil {
			return
		}
		list.delKinds(1<<h1.Host | 1<<h1.Trailer)
		ours := httpHeader(r.Fields)
		if s != o || len(ours) != len(theirs) {
			t.Fatalf("%q: ours %v %+v, the Handler's %v %+v", text, ours, o, theirs, s)
		}
		for name, values := range theirs {
			if !slices.Equal(values, ours[name]) {
				t.Fatalf("%q: %s: ours %q, the Handler's %q", text, name, ours[name], values)
			}
		}
		if _, ok := ours[http.CanonicalHeaderKey("connection")]; ok {
			t.Fatalf("%q: Connection is left", text)
		}
	})
}
