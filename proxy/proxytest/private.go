package proxytest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
)

// privateField is a field that only our proxies send to each other, in products and with a Config without Private.
const privateField = "Sluice-Features"

// privateFields: a private field from an app reaches the client in no head and no trailer section, and one in a request's
// trailers does not reach the app. The other fields do.
func privateFields(r *rig) {
	ups := make(chan http.Header, 1)
	raw := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for {
			req, err := http.ReadRequest(in)
			if err != nil || req.Method == "PRI" { // this app has no HTTP/2
				return
			}
			if req.Header.Get("Upgrade") != "" {
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\nX-Kept: 1\r\nsluice-features: 1\r\n\r\n")
				return
			}
			io.Copy(io.Discard, req.Body)
			ups <- req.Trailer
			io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nsluice-features: 1\r\n\r\n"+
				"HTTP/1.1 200 OK\r\nX-Kept: 1\r\nSLUICE-FEATURES: 1\r\nSluice-Features: 2\r\nTransfer-Encoding: chunked\r\nTrailer: X-Last\r\n\r\n"+
				"2\r\nok\r\n0\r\nSluice-Features: 1\r\nX-Last: 1\r\n\r\n")
		}
	})
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		ups <- req.Trailer
		h := w.Header()
		h.Set(privateField, "1")
		h.Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		h.Set("X-Kept", "1")
		h.Set("Trailer", "X-Last, "+privateField)
		io.WriteString(w, "ok")
		h.Set("X-Last", "1")
	})
	for _, proto := range both {
		for name, addr := range map[string]string{"net/http's": app, "by hand": raw} {
			if name == "by hand" && !r.path.reaches(proxy.HTTP1, proto) {
				continue
			}
			upstream := proxy.Upstream{Addr: addr}
			if name == "by hand" {
				upstream.Proto = proxy.HTTP1
			}
			early := make(chan http.Header, 1)
			// The length is unknown, since net/http sends no trailers otherwise.
			req := r.request("POST", r.path.scheme()+"://"+r.proxy(to(upstream), proxy.Config{}), io.MultiReader(strings.NewReader("body")))
			req.Trailer = http.Header{"X-Up": {"1"}, privateField: {"1"}}
			req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(_ int, h textproto.MIMEHeader) error { early <- http.Header(h); return nil },
			}))
			resp, body := r.do(r.client(proto), req)
			if body != "ok" {
				r.Errorf("%d, %s: %s %q", proto, name, resp.Status, body)
			}
			for what, h := range map[string]struct {
				http.Header
				with string
			}{
				"103":           {take(r, "the interim answer", early), "Link"},
				"200":           {resp.Header, "X-Kept"},
				"its trailers":  {resp.Trailer, "X-Last"},
				"POST trailers": {take(r, "the request's trailers", ups), "X-Up"},
			} {
				if len(h.Header[privateField]) > 0 || h.Get(h.with) == "" { // a trailer that is only announced has no value
					r.Errorf("%d, %s, %s: %v", proto, name, what, h.Header)
				}
			}
		}
	}
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: raw}), proxy.Config{}))
	w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	if resp := w.answer("GET"); resp.StatusCode != 101 || resp.Header.Get("X-Kept") != "1" || resp.Header.Get(privateField) != "" {
		r.Errorf("%s %v", resp.Status, resp.Header)
	}
}
