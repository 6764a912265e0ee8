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

// A server of HTTP/1.0, and whoever else knows nothing of Expect, may begin its answer first, and want the body then, which
// a client sends when it has waited for 100 Continue for long enough. (Each waited for the other until the request timed
// out. net/http's client never sends the body when the connection ends with the answer.)
func TestABodyThatWasNotAskedForIsSent(t *testing.T) {
	t.Parallel()
	for path, run := range map[string]func(testing.TB, proxy.Config) string{"engine": serveEngine, "handler": serve} {
		for name, answer := range map[string]string{
			"HTTP/1.0":   "HTTP/1.0 200 OK\r\n\r\n",
			"to its end": "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
			"kept":       "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
		} {
			t.Run(path+"/"+name, func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				defer func() {
					l.Close()
					<-done
				}()
				go func() {
					defer close(done)
					answersFirst(l, answer)
				}()
				addr := run(t, proxy.Config{Name: "test", Policy: policyFuncs{next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
					return proxy.Forward(proxy.Upstream{Addr: l.Addr().String(), Timeouts: proxy.Timeouts{Total: 10 * time.Second}}), nil
				}}})
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
			})
		}
	}
}

// answersFirst begins an answer on the first connection, then reads a body of four bytes and sends it back.
func answersFirst(l net.Listener, answer string) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	in := bufio.NewReader(c)
	if _, err := http.ReadRequest(in); err != nil {
		return
	}
	_, _ = io.WriteString(c, answer)
	_, _ = io.CopyN(c, in, 4)
}
