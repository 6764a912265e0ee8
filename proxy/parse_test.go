package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzConnectionOptions: what Connection names goes, what is protected stays, and nothing else is lost.
func FuzzConnectionOptions(f *testing.F) {
	for _, s := range []string{"", "close", "X-A", "x-a , X-B,,", "upgrade, x-keep", "te", "keep-alive, Upgrade", "\x00,é", "connection"} {
		f.Add(s, "websocket")
	}
	f.Fuzz(func(t *testing.T, options, upgrade string) {
		h := http.Header{
			"Connection": {options}, "Upgrade": {upgrade}, "Te": {"gzip;q=1, Trailers"}, "Keep-Alive": {"x"},
			"X-A": {"a"}, "X-Keep": {"k"}, "X-Other": {"o"}, "Http2-Settings": {"s"},
		}
		named := func(name string) bool {
			return slices.ContainsFunc(strings.Split(options, ","), func(o string) bool { return strings.EqualFold(strings.Trim(o, " \t\r\n"), name) })
		}
		s, err := NewHeader(h).endConnection([]string{"X-Keep"})
		if err != nil {
			if strings.Count(options, ",") < maxOptions {
				t.Errorf("%q: %v", options, err)
			}
			return
		}
		for _, name := range []string{"Connection", "Upgrade", "Te", "Keep-Alive", "Http2-Settings"} {
			if _, ok := h[name]; ok {
				t.Errorf("%s is left", name)
			}
		}
		if h.Get("X-Keep") != "k" || !s.trailers {
			t.Errorf("X-Keep %q, trailers %v", h.Get("X-Keep"), s.trailers)
		}
		if _, ok := h["X-A"]; ok == named("X-A") {
			t.Errorf("X-A: left %v, named %v", ok, named("X-A"))
		}
		if _, ok := h["X-Other"]; ok == named("X-Other") {
			t.Errorf("X-Other: left %v, named %v", ok, named("X-Other"))
		}
		if s.upgrade != "" && (!named("upgrade") || strings.Contains(strings.ToLower(s.upgrade), "h2c")) && !strings.Contains(strings.ToLower(upgrade), "h2c") {
			t.Errorf("upgrade to %q", s.upgrade)
		}
		if upgradeTo([]string{upgrade, "h2c"}) != "" || upgradeTo([]string{"H2C/1"}) != "" {
			t.Error("h2c was accepted")
		}
	})
}

// FuzzProxyStatus: whatever a name holds, the field parses, and gives it back where it is printable.
func FuzzProxyStatus(f *testing.F) {
	for _, s := range []string{"sluice-activator", "a b", `q"\`, "", "1x", "*", "é\n", "a:/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, rest := parseItem(t, proxyStatus(name, QueueFull, ""))

		if printable(name) && got != name {
			t.Errorf("%q came back as %q", name, got)
		}
		if rest != `; error=connection_limit_reached; details="queue_full"` {
			t.Errorf("parameters %q", rest)
		}
	})
}

// A sentence more stands below the text, in Proxy-Status, and in the message of gRPC.
func TestC9DetailsOfAnError(t *testing.T) {
	const says = `the app said "no" \ é`
	for _, c := range []struct {
		text, body string
		grpc       string // message
	}{
		{"activator request timeout", "activator request timeout\n" + says + "\n", `activator request timeout: the app said "no" \ %C3%A9`},
		{"pending request queue full\n", "pending request queue full\n" + says + "\n", `pending request queue full: the app said "no" \ %C3%A9`},
	} {
		e := &Error{Reason: TimeoutTotal, Text: c.text, Details: says}
		if a := errorAnswer("x", e, false); a.body != c.body {
			t.Errorf("%q, want %q", a.body, c.body)
		}
		for _, f := range errorAnswer("x", e, true).header {
			if f[0] == "Grpc-Message" && f[1] != c.grpc {
				t.Errorf("%q, want %q", f[1], c.grpc)
			}
		}
		if _, rest := parseItem(t, proxyStatus("x", e.Reason, e.Details)); rest != `; error=http_response_timeout; details="timeout_total: the app said \"no\" \\ ??"` {
			t.Errorf("parameters %s", rest)
		}
	}
}

// parseItem parses an sf-token or sf-string by the letter of RFC 9651 §4.2.4 and §4.2.6.
func parseItem(t *testing.T, s string) (item, rest string) {
	t.Helper()
	if s[0] != '"' {
		i := strings.IndexByte(s, ';')
		if strings.ContainsAny(s[:i], " \"\\,=()") || s[0] != '*' && (s[0]|0x20 < 'a' || s[0]|0x20 > 'z') {
			t.Fatalf("%q is no token", s[:i])
		}
		return s[:i], s[i:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:]
		case c == '\\':
			i++
			if s[i] != '"' && s[i] != '\\' {
				t.Fatalf("%q: escape of %q", s, s[i])
			}
			b.WriteByte(s[i])
		case c < 0x20 || c > 0x7e:
			t.Fatalf("%q: byte %#x", s, c)
		default:
			b.WriteByte(c)
		}
	}
	t.Fatalf("%q does not end", s)
	return "", ""
}

func FuzzGRPCMessage(f *testing.F) {
	for _, s := range []string{"", "100% ü", "\x00\xff", "%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := grpcMessage(s)
		if back, err := url.PathUnescape(m); err != nil || back != s || !printable(m) {
			t.Errorf("%q became %q, back %q, %v", s, m, back, err)
		}
	})
}

// FuzzTarget: a target is written as it was read, or, where net/http has no way to, in absolute-form.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "//healthz", "//a|b", "/a|b?", "*", "//h:1/%zz", "http://h/x", "http://h?x", "/%2f", "//?#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, ok := originForm(http.MethodGet, s, 1)
		if !ok {
			return
		}
		if target != "*" && target[0] != '/' || strings.HasPrefix(s, "/") && target != s {
			t.Fatalf("%q became %q", s, target)
		}
		var u url.URL
		targetURL(&u, "http", "addr:1", "host", target)
		if got := u.RequestURI(); got != target && got != "http://host"+target || u.Host != "addr:1" {
			t.Errorf("%q is written as %q to %s", target, got, u.Host)
		}
		if got := u.RequestURI(); got != target && !strings.HasPrefix(target, "//") {
			t.Errorf("%q is written as %q", target, got)
		}
	})
}

func FuzzKeepAlive(f *testing.F) {
	f.Add("timeout=5, max=100")
	f.Add(`max=1,TIMEOUT="7"`)
	f.Add("timeout=99999999999999999999")
	f.Fuzz(func(t *testing.T, s string) {
		if d := keepAliveTimeout([]string{s}); d < 0 || d > (1<<20)*time.Second {
			t.Errorf("%q: %v", s, d)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"timeout=5": 4500 * time.Millisecond, "max=3, Timeout=1": 500 * time.Millisecond, "timeout=0": time.Millisecond,
		"": 0, "timeout": 0, "timeout=x": 0, "timeout=-1": 0, "max=5": 0,
	} {
		if d := keepAliveTimeout([]string{s}); d != want {
			t.Errorf("%q: %v, want %v", s, d, want)
		}
	}
}

func TestReasonsAreClosed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		if r.String() == "" || seen[r.String()] || r.Status() < 400 || (r.ProxyStatus() == "") != (r == ClientGone) {
			t.Errorf("%d: %q, %d, %q", r, r, r.Status(), r.ProxyStatus())
		}
		seen[r.String()] = true
	}
}

func TestBudget(t *testing.T) {
	var b budget
	b.init(2)
	for i := range 3 {
		if ok := b.withdraw(); ok != (i < 2) {
			t.Errorf("withdrawal %d: %v", i, ok)
		}
	}
	for range retryPerSent {
		if b.withdraw() {
			t.Error("a retry before it was paid for")
		}
		b.deposit()
	}
	if !b.withdraw() {
		t.Error("no retry for five requests")
	}
	for range 100 {
		b.deposit()
	}
	if n := b.tokens.Load(); n != 2*retryPerSent {
		t.Errorf("%d tokens, beyond the burst", n)
	}
}
