package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// Clients of HTTP/2 reach an app that supports only HTTP/1.1, whether the name of a port configures that or the proxy detects
// it, and an app that supports both.
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

// speaksOverHTTP2 sends requests, the first with a body.
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
