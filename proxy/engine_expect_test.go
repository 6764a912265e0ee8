package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// A server of HTTP/1.0 doesn't know of Expect: it may begin its answer first, and want the body then, which a client sends
// when it has waited for 100 Continue for long enough. (Each waited for the other until the request timed out.)
func TestEngineSendsABodyThatWasNotAskedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
		_, _ = io.CopyN(c, in, 4)
	}()
	defer func() {
		l.Close()
		<-done
	}()
	addr := engineOf(t, policyFuncs{next: func(*proxy.Request, proxy.Attempt) (proxy.Hop, error) {
		return proxy.Hop{Addr: l.Addr().String(), Timeouts: proxy.Timeouts{Total: 10 * time.Second}}, nil
	}}, proxy.ServerConfig{})
	c, in := dialEngine(t, addr)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	_, _ = io.WriteString(c, "body")
	if b, err := io.ReadAll(resp.Body); string(b) != "body" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
