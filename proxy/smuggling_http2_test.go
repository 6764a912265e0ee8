package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// TestNothingIsSmuggledFromHTTP2 sends requests of HTTP/2 through an Engine to an app of HTTP/1.1: each is refused, or what
// reaches the app is one message that nobody can misread; and then the next request.
func TestNothingIsSmuggledFromHTTP2(t *testing.T) {
	var app atomic.Pointer[recorder]
	addr := serveEngine(t, proxy.Config{Name: "x", Policy: policyFuncs{next: func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		return proxy.Forward(proxy.Upstream{Addr: app.Load().addr, Proto: proxy.HTTP1}), a.Cause
	}}})
	for about, all := range downgrades {
		for i, d := range all {
			r, end := newRecorder(t)
			app.Store(r)
			d.check(t, fmt.Sprintf("%s/%d: RFC %s: %q", about, i, d.rfc, d.fields), addr, r)
			end()
		}
	}
}

func (d downgraded) check(t *testing.T, what, addr string, r *recorder) {
	t.Helper()
	status := d.send(t, addr)
	if ok := status == "200"; ok == d.refused || !ok && !slices.Contains([]string{"", "400", "501"}, status) {
		t.Errorf("%s: answered %q, refused is to be %v", what, status, d.refused)
	}
	if status := (downgraded{fields: []string{":path", "/marker"}}).send(t, addr); status != "200" {
		t.Errorf("%s: and then %q", what, status)
	}
	got := slices.DeleteFunc(slices.Clone(r.taken()), func(raw string) bool { return strings.HasPrefix(raw, "GET /marker HTTP/1.1\r\n") })
	for _, raw := range got {
		if err := plain(raw); err != nil && !d.refused {
			t.Errorf("%s: became %q: %v", what, raw, err)
		}
		if d.refused && (d.body == "" || plainEnd(raw)) { // of a body that turned out wrong the beginning may have gone
			t.Errorf("%s: %q reached the app", what, raw)
		}
	}
	if !d.refused && len(got) != 1 {
		t.Errorf("%s: the app got %q", what, got)
	}
}

// plainEnd reports whether an app would take what it got for a message with its end.
func plainEnd(raw string) bool {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

// send makes a request on a connection of its own, and returns the status of the answer; none after a reset.
func (d downgraded) send(t *testing.T, addr string) (status string) {
	t.Helper()
	c, in := dialEngine(t, addr)
	defer c.Close()
	io.WriteString(c, http2.ClientPreface)
	fr := http2.NewFramer(c, in)
	fr.AllowIllegalWrites = true
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = fr.WriteSettings()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range d.all() {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: d.body == ""})
	if d.body != "" {
		_ = fr.WriteData(1, d.trailers == nil, []byte(d.body))
	}
	if d.trailers != nil {
		block.Reset()
		for i := 0; i < len(d.trailers); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: d.trailers[i], Value: d.trailers[i+1]})
		}
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return ""
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = fr.WriteSettingsAck()
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return ""
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		}
	}
}

// all are the fields: pseudo ones that are given replace the plain request's, the first of them in their place.
func (d downgraded) all() (fields [][2]string) {
	method := "GET"
	if d.body != "" {
		method = "POST"
	}
	fields = [][2]string{{":method", method}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}}
	replaced := map[string]bool{}
	for i := 0; i < len(d.fields); i += 2 {
		name, value := d.fields[i], d.fields[i+1]
		at := slices.IndexFunc(fields, func(f [2]string) bool { return f[0] == name })
		if at >= 0 && at < 4 && !replaced[name] && len(fields) == 4 {
			fields[at][1], replaced[name] = value, true
			continue
		}
		fields = append(fields, [2]string{name, value})
	}
	return fields
}
