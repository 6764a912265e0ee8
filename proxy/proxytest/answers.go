package proxytest

import (
	"bufio"
	"cmp"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

var answers = []testCase{
	{"Local", local, ownAnswers},
	{"OwnAnswersAreFramed", ownFraming, ownAnswers},
	{"ErrorsOfThePolicy", policyErrors, ownAnswers},
	{"Peers17EachFailureHasItsReason", reasons, ""},
	{"Peers17ADialThatTakesTooLong", dialTooLong, ownDial},
	{"AHostOfTheUpstreams", hostOfUpstream, ownEdits},
	{"ACopyOfTheHead", copyOfHead, ownEdits},
	{"AnAnswerMayBeEdited", edited, ownEdits},
}

func local(r *rig) {
	for _, proto := range both {
		p := newScript(func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
			return proxy.Answer(&proxy.Local{Status: 200, Header: [][2]string{{"Content-Length", "5"}, {"X-A", "1"}, {"X-A", "2"}}, Body: "queue"}), nil
		})
		addr, c := r.proxy(p, proxy.Config{}), r.client(proto)
		for _, method := range []string{"GET", "HEAD", "POST"} {
			resp, body := r.do(c, r.request(method, r.path.scheme()+"://"+addr+"//healthz", strings.NewReader("body")))
			if resp.StatusCode != 200 || (body == "queue") == (method == "HEAD") || len(resp.Header["X-A"]) != 2 || resp.ContentLength != 5 || resp.Header.Get("Proxy-Status") != "" {
				r.Errorf("%d %s: %s %q %v", proto, method, resp.Status, body, resp.Header)
			}
			if res := take(r, "the result", p.results); res.Reason != proxy.ReasonNone || res.Status != 200 {
				r.Errorf("%+v", res)
			}
		}
	}
}

// ownFraming: the body of each of the proxy's own answers has the length that its head announces, so that the next request on
// the connection is answered too. After a malformed request the connection is closed.
func ownFraming(r *rig) {
	tail := [][2]string{{"Grpc-Status", "3"}}
	for name, c := range map[string]struct {
		local  proxy.Local
		err    error
		method string // "": GET
		status int
		length int64
		body   string
		last   bool // the connection is closed
	}{
		"no content, with a body":    {local: proxy.Local{Status: 204, Body: "x"}, status: 204, length: 0},
		"no content, with a length":  {local: proxy.Local{Status: 204, Header: [][2]string{{"Content-Length", "1"}}}, status: 204, length: 0},
		"not modified":               {local: proxy.Local{Status: 304, Body: "x"}, status: 304, length: 0},
		"another length":             {local: proxy.Local{Status: 200, Header: [][2]string{{"Content-Length", "9"}}, Body: "x"}, status: 200, length: 1, body: "x"},
		"another length, small":      {local: proxy.Local{Status: 200, Header: [][2]string{{"content-length", "9"}}, Body: "x"}, status: 200, length: 1, body: "x"},
		"fields of the connection":   {local: proxy.Local{Status: 200, Header: [][2]string{{"Transfer-Encoding", "chunked"}, {"connection", "close"}}, Body: "x"}, status: 200, length: 1, body: "x"},
		"a field of two lines":       {local: proxy.Local{Status: 200, Header: [][2]string{{"X-A", "b\r\nX-B: 1"}}, Body: "x"}, status: 200, length: 1, body: "x"},
		"no status":                  {local: proxy.Local{Body: "x"}, status: 500, length: 15, body: "internal error\n"},
		"an interim status":          {local: proxy.Local{Status: 103}, status: 500, length: 15, body: "internal error\n"},
		"gRPC":                       {local: proxy.Local{Status: 200, Header: tail}, status: 200},
		"gRPC with a body":           {local: proxy.Local{Status: 200, Header: tail, Body: "x"}, status: 200},
		"gRPC with a status of HTTP": {local: proxy.Local{Status: 418, Header: tail}, status: 418},
		"an error to HEAD":           {err: &proxy.Error{Reason: proxy.Busy, Text: "busy"}, method: "HEAD", status: 503, length: 4},
		"a local bad request":        {local: proxy.Local{Status: 400, Reason: proxy.BadRequest, Body: "x"}, status: 400, length: 1, body: "x"},
		"a bad request":              {err: &proxy.Error{Reason: proxy.BadRequest, Text: "bad"}, status: 400, length: 3, body: "bad", last: true},
	} {
		p := newScript(func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) { return proxy.Answer(&c.local), c.err })
		addr := r.proxy(p, proxy.Config{})
		method := cmp.Or(c.method, "GET")
		request := method + " / HTTP/1.1\r\nHost: x\r\n\r\n"
		w := r.dial(addr)
		for i := range 2 {
			resp := w.send(request).answer(method)
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status || string(body) != c.body || err != nil || resp.ContentLength != c.length || resp.Close != c.last || resp.Header.Get("X-B") != "" {
				r.Errorf("%s, request %d: %s %q of %d bytes, close %v, %v", name, i+1, resp.Status, body, resp.ContentLength, resp.Close, err)
			}
			if resp.Close {
				w = r.dial(addr)
			}
		}
	}
}

// policyErrors: each error of a policy has the status, text and fields of the answer.
func policyErrors(r *rig) {
	for _, c := range []struct {
		err                  error
		status               int
		body, retry, err9209 string
		reason               proxy.Reason
	}{
		{&proxy.Error{Reason: proxy.QueueFull, Text: "pending request queue full\n"}, 503, "pending request queue full\n", "1", "connection_limit_reached", proxy.QueueFull},
		{&proxy.Error{Reason: proxy.QueueFull, Status: 429, Text: "full"}, 429, "full", "1", "connection_limit_reached", proxy.QueueFull},
		{&proxy.Error{Reason: proxy.Draining, Text: "shutting down", RetryAfter: 1500 * time.Millisecond}, 503, "shutting down", "2", "destination_unavailable", proxy.Draining},
		{&proxy.Error{Reason: proxy.UnknownRevision, Err: errPolicy}, 404, errPolicy.Error() + "\n", "", "destination_not_found", proxy.UnknownRevision},
		{errPolicy, 500, "internal error\n", "", "proxy_internal_error", proxy.Internal},
		{&proxy.Error{Text: "without a reason\n"}, 500, "without a reason\n", "", "proxy_internal_error", proxy.Internal},
	} {
		for _, proto := range both {
			p := newScript(func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) { return proxy.Decision{}, c.err })
			resp, body := r.do(r.client(proto), r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader("body")))
			if resp.StatusCode != c.status || body != c.body || resp.Header.Get("Retry-After") != c.retry {
				r.Errorf("%v: %s %q, Retry-After %q", c.err, resp.Status, body, resp.Header.Get("Retry-After"))
			}
			if s := resp.Header.Get("Proxy-Status"); !strings.HasPrefix(s, "test-proxy;") || !strings.Contains(s, "error="+c.err9209) || !strings.Contains(s, c.reason.String()) {
				r.Errorf("%v: Proxy-Status: %s", c.err, s)
			}
			if res := take(r, "the result", p.results); res.Reason != c.reason || res.Status != c.status || res.Attempts != 0 {
				r.Errorf("%v: %+v", c.err, res)
			}
		}
	}
}

// reasons: each failure of an upstream has its own reason.
func reasons(r *rig) {
	answer := func(s string) string {
		return r.rawApp(func(c net.Conn, in *bufio.Reader) {
			_, _ = head(in)
			io.WriteString(c, s)
			// Unread bytes at the close would cause a reset, which overtakes the answer.
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, in)
		})
	}
	for _, c := range []struct {
		name     string
		upstream proxy.Upstream
		status   int
		reason   proxy.Reason
	}{
		{"refused", proxy.Upstream{Addr: deadAddr}, 502, proxy.ConnectRefused},
		{"without a port", proxy.Upstream{Addr: "127.0.0.1"}, 502, proxy.ConnectRefused},
		{"closed", proxy.Upstream{Addr: answer("")}, 502, proxy.UpstreamClosed},
		{"cut in the head", proxy.Upstream{Addr: answer("HTTP/1.1 200 OK\r\nX: ")}, 502, proxy.UpstreamClosed},
		{"not HTTP", proxy.Upstream{Addr: answer("SSH-2.0-x\r\n")}, 502, proxy.BadResponse},
		{"bad head", proxy.Upstream{Addr: answer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n")}, 502, proxy.BadResponse},
		{"bad length", proxy.Upstream{Addr: answer("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")}, 502, proxy.BadResponse},
		{"endless head", proxy.Upstream{Addr: answer("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20<<20))}, 502, proxy.BadResponse},
		{"status below 100", proxy.Upstream{Addr: answer("HTTP/1.1 007 Bond\r\n\r\n")}, 502, proxy.BadResponse},
		{"HTTP/1.1 where HTTP/2 was expected", proxy.Upstream{Proto: proxy.HTTP2, Addr: answer("HTTP/1.1 400 Bad Request\r\n\r\n")}, 502, proxy.BadResponse},
	} {
		if (c.upstream.Proto == proxy.HTTP2 || c.name == "without a port") && r.path.Product != nil {
			continue // the proxy next to the app reports this one, or can't have it
		}
		p := to(c.upstream)
		client := r.client(r.path.protos(max(c.upstream.Proto, proxy.HTTP1))[0])
		resp, body := r.do(client, r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader("body")))
		if s := resp.Header.Get("Proxy-Status"); resp.StatusCode != c.status || !strings.HasPrefix(s, r.self(p).Name+"; error="+c.reason.ProxyStatus()+";") {
			r.Errorf("%s: %s %q, Proxy-Status %q", c.name, resp.Status, body, s)
		}
		if res := take(r, "the result", p.results); res.Reason != c.reason || res.BytesOut != int64(len(body)) {
			r.Errorf("%s: %v, %d bytes (%q), want %v", c.name, res.Reason, res.BytesOut, body, c.reason)
		}
		if out := take(r, "the outcome", p.outcomes); out.Reason != c.reason {
			r.Errorf("%s: outcome %+v", c.name, out)
		}
	}
}

func dialTooLong(r *rig) {
	for _, proto := range both {
		p := to(proxy.Upstream{Addr: "dial-timeout:1"})
		addr := r.proxy(p, proxy.Config{DialTimeout: short, Dial: dialOrHang})
		resp, _ := r.do(r.client(proto), r.request("POST", r.path.scheme()+"://"+addr, strings.NewReader("body")))
		if s := resp.Header.Get("Proxy-Status"); resp.StatusCode != 502 || !strings.Contains(s, proxy.ConnectTimeout.ProxyStatus()) {
			r.Errorf("%s, Proxy-Status %q", resp.Status, s)
		}
		if out := take(r, "the outcome", p.outcomes); out.Reason != proxy.ConnectTimeout {
			r.Errorf("%+v", out)
		}
	}
}

// hostOfUpstream: a policy may set another Host for an upstream.
func hostOfUpstream(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Host) })
	for _, proto := range both {
		req := r.request("GET", r.path.scheme()+"://"+r.proxy(to(proxy.Upstream{Addr: app, Host: "other.example:81"}), proxy.Config{}), nil)
		req.Host = "asked.example"
		if _, got := r.do(r.client(proto), req); got != "other.example:81" {
			r.Errorf("%d: Host %q", proto, got)
		}
	}
}

// copyOfHead: Request.HTTP returns a copy of the head, which stays valid after the request has ended.
func copyOfHead(r *rig) {
	heads := make(chan *http.Request, 1)
	p := newScript(func(req *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
		h := req.HTTP()
		req.Header.Set("X-Later", "1")
		heads <- h
		return proxy.Answer(&proxy.Local{Status: 204}), nil
	})
	req := r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{})+"/path?q", strings.NewReader("body"))
	req.Header.Set("X-Now", "1")
	req.Host = "h.example"
	r.do(r.client(proxy.HTTP1), req)
	h := take(r, "the head", heads)
	if h.Method != "POST" || h.RequestURI != "/path?q" || h.URL.Path != "/path" || h.Host != "h.example" || h.Header.Get("X-Now") != "1" ||
		h.Header.Get("X-Later") != "" || h.Proto != "HTTP/1.1" || h.ContentLength != 4 || h.Body != http.NoBody || h.RemoteAddr == "" {
		r.Errorf("%+v", h)
	}
}

func edited(r *rig) {
	app := r.app(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Internal", "1"); w.WriteHeader(202) })
	p := to(proxy.Upstream{Addr: app})
	p.response = func(_ *proxy.Request, resp *proxy.Response) bool {
		if resp.Status != 202 || resp.Header.Get("X-Internal") != "1" {
			r.Errorf("the policy saw %d %q", resp.Status, resp.Header.Get("X-Internal"))
		}
		resp.Header.Del("X-Internal")
		resp.Header.Set("X-Added", "2")
		return true
	}
	resp, _ := r.do(r.client(proxy.HTTP1), r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), nil))
	if resp.Header.Get("X-Internal") != "" || resp.Header.Get("X-Added") != "2" {
		r.Errorf("%v", resp.Header)
	}
}
