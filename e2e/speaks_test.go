package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// An app that speaks HTTP/1.1 only answers clients of HTTP/2, whether it is told by the name of a port or found out, and so
// does one that speaks both.
func TestF14AnAppOfHTTP1IsReachedOverHTTP2(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"APP_HTTP1=1", "APP_HTTP1="} {
		for _, port := range []string{"", "http1"} {
			t.Run("quickstart, "+env+", "+port, func(t *testing.T) {
				t.Parallel()
				name, value, _ := strings.Cut(env, "=")
				q := serve(t, service{portName: port, env: map[string]string{name: value}})
				speaksOverHTTP2(t, h2cClientOf(t, q.addr()), q.url("app", ""))
			})
		}
		for _, protocol := range []string{"", "  protocol: http1\n"} {
			t.Run("static source, "+env+", "+protocol, func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, protocol)
				p := c.pod("one")
				c.pods(protocol, p)
				speaks := func(addr, url string) { speaksOverHTTP2(t, h2cClientOf(t, addr), url) }
				p.startApp(c, env)
				speaks(c.addr, c.url(""))
				speaks(p.addr, "http://"+p.addr)
			})
		}
	}
}

// speaksOverHTTP2 makes requests, the first with a body.
func speaksOverHTTP2(t *testing.T, c *http.Client, url string) {
	t.Helper()
	body := strings.Repeat("x", 100_000)
	for range 2 {
		if a := do(c, request("POST", url+"/echo", body)); !a.ok() || a.body != body {
			t.Errorf("POST: %d bytes of %d came back: %v", len(a.body), len(body), a.status)
		}
		if a := get(c, url+"/"); !a.ok() {
			t.Errorf("GET: %v", a)
		}
	}
}
