package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// sendOver sends a request with a target and fields of these sizes over HTTP/1.1 or HTTP/2, and returns what came of it.
func sendOver(t *testing.T, addr string, h2 bool, target, fields, size int) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+addr+"/"+strings.Repeat("t", target-1), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range fields {
		req.Header.Set(fmt.Sprintf("X-%d", i), strings.Repeat("v", size))
	}
	var one, two http.Protocols
	one.SetHTTP1(true)
	two.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: &one}
	if h2 {
		tr.Protocols = &two
	}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	switch {
	case h2 && err != nil && strings.Contains(err.Error(), "larger than peer's advertised limit"): // its SETTINGS came first
		return http.StatusRequestHeaderFieldsTooLarge, ""
	case err != nil:
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// A target of 20 KiB, a head of 100 KiB, 600 fields: what Knative's own proxies let through. Each limit can be set, and
// what is beyond it is told which it was.
func TestF15LimitsOfHeads(t *testing.T) {
	smaller := proxy.ServerConfig{MaxTarget: 1000, MaxHead: 20 << 10, MaxFields: 50}
	for _, c := range []struct {
		name                 string
		config               proxy.ServerConfig
		target, fields, size int
		status               int
		text                 string
	}{
		{"a target of 20 KiB", proxy.ServerConfig{}, 20 << 10, 1, 1, 200, ""},
		{"the longest target", proxy.ServerConfig{}, 64 << 10, 1, 1, 200, ""},
		{"a target too long", proxy.ServerConfig{}, 64<<10 + 1, 1, 1, 414, "65536 bytes of a target, the limit max-target"},
		{"a head of 100 KiB", proxy.ServerConfig{}, 1, 10, 10 << 10, 200, ""},
		{"a head of 250 KiB", proxy.ServerConfig{}, 1, 10, 25 << 10, 200, ""},
		{"a head too large", proxy.ServerConfig{}, 1, 10, 27 << 10, 431, "262144 bytes, the limit max-head"},
		{"600 fields", proxy.ServerConfig{}, 1, 600, 1, 200, ""},
		{"too many fields", proxy.ServerConfig{}, 1, 1001, 1, 431, "1000 fields, the limit max-fields"},
		{"a target as long as was set", smaller, 1000, 1, 1, 200, ""},
		{"a target longer than was set", smaller, 1001, 1, 1, 414, "1000 bytes of a target"},
		{"a head larger than was set", smaller, 1, 3, 7 << 10, 431, "20480 bytes"},
		{"more fields than were set", smaller, 1, 51, 1, 431, "50 fields"},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/HTTP2=%v", c.name, h2), func(t *testing.T) {
				t.Parallel()
				refused := make(chan *proxy.Error, 1)
				config := c.config
				config.OnRejected = func(_ string, err *proxy.Error) { refused <- err }
				addr := engineOf(t, policyFuncs{next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
					n := 0
					for name := range r.Header.All() {
						if strings.HasPrefix(name, "X-") {
							n++
						}
					}
					if len(r.Target) != c.target || n != c.fields {
						t.Errorf("a target of %d bytes and %d fields", len(r.Target), n)
					}
					return proxy.Answer(&proxy.Local{Status: 200}), nil
				}}, config)
				status, body := sendOver(t, addr, h2, c.target, c.fields, c.size)
				if status != c.status {
					t.Fatalf("%d %s, want %d", status, body, c.status)
				}
				if c.text == "" || h2 && c.size > 1 { // a field section that is too large is refused by net/http
					return
				}
				if !strings.Contains(body, c.text) {
					t.Errorf("%q, want %q", body, c.text)
				}
				if err := <-refused; err.Status != c.status {
					t.Errorf("told of %v", err)
				}
			})
		}
	}
}
