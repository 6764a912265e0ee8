package proxytest

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// client makes a net/http client that uses only proto.
func (r *rig) client(proto proxy.Proto) *http.Client {
	var p http.Protocols
	t := &http.Transport{Protocols: &p, DisableCompression: true, ExpectContinueTimeout: patience}
	p.SetHTTP1(proto == proxy.HTTP1)
	if r.path.TLS == nil {
		if p.SetUnencryptedHTTP2(proto == proxy.HTTP2); proto == proxy.HTTP2 {
			t.DialContext = r.streams.dial
		}
	} else {
		p.SetHTTP2(proto == proxy.HTTP2)
		t.TLSClientConfig = r.path.clientTLS("", proto)
	}
	r.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// do sends a request and returns the response and its body.
func (r *rig) do(c *http.Client, req *http.Request) (*http.Response, string) {
	r.Helper()
	resp, err := c.Do(req)
	if err != nil {
		r.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatalf("%s %s: body: %v", req.Method, req.URL, err)
	}
	return resp, string(body)
}

func (r *rig) request(method, url string, body io.Reader) *http.Request {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		r.Fatal(err)
	}
	return req
}

// wire is a client's connection whose bytes are written and read by hand.
type wire struct {
	net.Conn // a TLS connection, if the path has TLS
	tcp      *net.TCPConn
	r        *rig
	in       *bufio.Reader
}

// dial opens a connection for HTTP/1.1.
func (r *rig) dial(addr string) *wire { r.Helper(); return r.dialFor(addr, proxy.HTTP1) }

func (r *rig) dialFor(addr string, proto proxy.Proto) *wire {
	r.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		r.Fatal(err)
	}
	w := &wire{Conn: c, tcp: c.(*net.TCPConn), r: r}
	if r.path.TLS != nil {
		host, _, _ := net.SplitHostPort(addr)
		w.Conn = tls.Client(c, r.path.clientTLS(host, proto))
	}
	r.Cleanup(func() { c.Close() })
	if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
		r.Fatal(err)
	}
	w.in = bufio.NewReader(w.Conn)
	return w
}

// CloseWrite ends the client's half.
func (w *wire) CloseWrite() error { return w.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// vanish closes the connection, with a reset or with a FIN.
func (w *wire) vanish(reset bool) {
	if !reset {
		w.Close()
		return
	}
	_ = w.tcp.SetLinger(0)
	w.tcp.Close()
}

func (w *wire) send(s string) *wire {
	w.r.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		w.r.Fatalf("write: %v", err)
	}
	return w
}

// answer reads the head of a response; its body follows.
func (w *wire) answer(method string) *http.Response {
	w.r.Helper()
	resp, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.r.Fatalf("answer: %v", err)
	}
	return resp
}

// expect reads exactly s.
func (w *wire) expect(s string) {
	w.r.Helper()
	got := make([]byte, len(s))
	if n, err := io.ReadFull(w.in, got); err != nil || string(got) != s {
		w.r.Fatalf("read %q, %v; want %q", got[:n], err, s)
	}
}

// dialOrHang dials, except that one name blocks until its context ends.
func dialOrHang(ctx context.Context, network, addr string) (net.Conn, error) {
	if strings.HasPrefix(addr, "dial-timeout:") {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
