package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

// engineOf makes an Engine of a policy, which ends with the test.
func engineOf(t testing.TB, p proxy.Policy, c proxy.ServerConfig) string {
	t.Helper()
	h, err := proxy.New(proxy.Config{Name: "x", Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	return startEngine(t, h, c)
}

// nothing answers 204 by itself.
var nothing = policyFuncs{next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	return proxy.Answer(&proxy.Local{Status: 204}), nil
}}

func dialEngine(t testing.TB, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c, bufio.NewReader(c)
}

func readAnswer(t testing.TB, in *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// What is no request a policy could be asked about is answered with its status, told, and ends the connection.
func TestEngineRefuses(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	for _, c := range []struct {
		name, sent string
		status     int
	}{
		{"a line that is too long", "GET /" + long + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
		{"a line without end", "GET /" + long, 414},
		{"a head that is too large", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat(long, 4) + "\r\n\r\n", 431},
		{"a head without end", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: "+long+"\r\n", 4), 431},
		{"too many fields", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 1100) + "\r\n", 431},
		{"another version", "GET / HTTP/2.1\r\nHost: x\r\n\r\n", 505},
		{"HTTP/2 without its preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505},
		{"a coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		{"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 501},
		{"an expectation", "POST / HTTP/1.1\r\nHost: x\r\nExpect: cake\r\n\r\n", 417},
		{"TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n\n", 400},
		{"a late head", "GET / HTTP/1.1\r\nHo", 408},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			told := make(chan *proxy.Error, 1)
			within := proxy.DefaultHeadTimeout
			if c.status == http.StatusRequestTimeout {
				within = 500 * time.Millisecond
			}
			addr := engineOf(t, policyFuncs{}, proxy.ServerConfig{
				HeadTimeout: within, OnRejected: func(remote string, err *proxy.Error) { told <- err },
			})
			conn, in := dialEngine(t, addr)
			io.WriteString(conn, c.sent)
			resp, _ := readAnswer(t, in, "GET")
			if resp.StatusCode != c.status || !resp.Close || resp.Header.Get("Proxy-Status") == "" {
				t.Errorf("%s %v", resp.Status, resp.Header)
			}
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("after the answer: %v", err)
			}
			if err := <-told; err.Reason != proxy.BadRequest || err.Status != c.status && err.Reason.Status() != c.status {
				t.Errorf("told of %+v", err)
			}
		})
	}
}

// What may be HTTP/2 with an invalid preface gets no answer, which would be read as a frame.
func TestEngineClosesOnAnInvalidPreface(t *testing.T) {
	told := make(chan *proxy.Error, 1)
	addr := engineOf(t, policyFuncs{}, proxy.ServerConfig{OnRejected: func(_ string, err *proxy.Error) { told <- err }})
	conn, in := dialEngine(t, addr)
	io.WriteString(conn, "INVALID CONNECTION PREFACE\r\n\r\n")
	if got, err := io.ReadAll(in); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	if err := <-told; proxy.RejectionOf(err).String() != "not HTTP" {
		t.Errorf("told of %v", err)
	}
}

// A client that sends its head byte by byte is let go at the timeout, however fast the bytes come; one that sends nothing
// without an answer.
func TestEngineBoundsHeads(t *testing.T) {
	addr := engineOf(t, nothing, proxy.ServerConfig{HeadTimeout: time.Second})
	begin := time.Now()
	_, silent := dialEngine(t, addr)
	drip, in := dialEngine(t, addr)
	go func() {
		for {
			if _, err := io.WriteString(drip, "G"); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if resp, _ := readAnswer(t, in, "GET"); resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%s", resp.Status)
	}
	if b, err := silent.ReadByte(); err != io.EOF {
		t.Errorf("%q, %v came for nothing", b, err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("that took %v", d)
	}
}

func TestEngineClosesIdleConnections(t *testing.T) {
	addr := engineOf(t, nothing, proxy.ServerConfig{IdleTimeout: time.Second})
	conn, in := dialEngine(t, addr)
	for range 3 {
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, _ := readAnswer(t, in, "GET"); resp.StatusCode != 204 {
			t.Errorf("%s", resp.Status)
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection: %v", err)
	}
}

// A connection whose request turns out to go to an upstream over HTTP/2 loses nothing: neither what is pipelined behind it, nor
// a body that is still coming, nor what the policy has edited.
func TestEngineHandsOver(t *testing.T) {
	app := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.RequestURI, r.Header.Get("X-Edited"), b)
	}), proxy.ServerConfig{})
	upstream := listenAndServe(t, app)
	results := make(chan proxy.Result, 10)
	var begun atomic.Int32
	addr := engineOf(t, counting{policyFuncs{
		next: func(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
			r.Header.Set("X-Edited", "yes")
			return proxy.Forward(proxy.Upstream{Addr: upstream, Proto: proxy.HTTP2}), a.Cause
		},
		end: func(r proxy.Result) { results <- r },
	}, &begun}, proxy.ServerConfig{})
	for _, body := range []string{
		"Content-Length: 4\r\n\r\n|body", "Content-Length: 4\r\n\r\nbo|dy", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n|",
		"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\nd|y\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2;x\r\nbo\r\n2|\r\ndy\r\n0\r\n\r\n",
	} {
		conn, in := dialEngine(t, addr)
		first, second, _ := strings.Cut(body, "|")
		io.WriteString(conn, "POST /1 HTTP/1.1\r\nHost: x\r\n"+first)
		if second != "" {
			time.Sleep(20 * time.Millisecond) // so that it is read apart
		}
		io.WriteString(conn, second+"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
		for i, want := range []string{"HTTP/2.0 /1 yes body", "HTTP/2.0 /2 yes "} {
			if resp, b := readAnswer(t, in, "GET"); resp.StatusCode != 200 || b != want {
				t.Errorf("%q: answer %d: %s %q", body, i, resp.Status, b)
			}
			if r := <-results; r.Reason != proxy.ReasonNone || r.Attempts != 1 || r.BytesIn != int64(4*(1-i)) {
				t.Errorf("%q: %+v", body, r)
			}
		}
	}
	if n := begun.Load(); n != 10 {
		t.Errorf("the policy began %d exchanges for 10 requests", n)
	}
}

// counting counts the exchanges that begin.
type counting struct {
	policyFuncs
	n *atomic.Int32
}

func (c counting) Begin(r *proxy.Request) proxy.Exchange {
	c.n.Add(1)
	return c.policyFuncs.Begin(r)
}

// Large bodies of known length, which go from socket to socket, arrive as they are, both ways.
func TestEngineSplices(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Write(b)
	}))
	defer app.Close()
	results := make(chan proxy.Result, 1)
	addr := engineOf(t, policyFuncs{
		next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
			return proxy.Forward(proxy.Upstream{Addr: app.Listener.Addr().String()}), nil
		},
		end: func(r proxy.Result) { results <- r },
	}, proxy.ServerConfig{})
	for _, size := range []int{256<<10 - 1, 256 << 10, 5<<20 + 7} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(i * 7 >> 3)
		}
		resp, err := http.Post("http://"+addr, "", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(back, body) {
			t.Errorf("%d bytes: %d came back, %v", size, len(back), err)
		}
		if r := <-results; r.BytesIn != int64(size) || r.BytesOut != int64(size) {
			t.Errorf("%+v", r)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// One TLS port takes HTTP/1.1 and HTTP/2, chosen by ALPN or by nothing but the preface.
func TestEngineTakesEveryWayToSpeakTLS(t *testing.T) {
	made := httptest.NewUnstartedServer(nil) // for its certificate
	made.StartTLS()
	defer made.Close()
	for _, own := range []bool{true, false} {
		for _, alpn := range [][]string{nil, {"http/1.1"}, {"h2"}} {
			for _, two := range []bool{false, true} {
				if !two && len(alpn) > 0 && alpn[0] == "h2" || two && len(alpn) > 0 && alpn[0] != "h2" {
					continue
				}
				seen := make(chan *tls.ConnectionState, 2)
				h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
					seen <- r.TLS()
					return proxy.Answer(&proxy.Local{Status: 200, Body: "served"}), nil
				}}})
				if err != nil {
					t.Fatal(err)
				}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				config := &tls.Config{Certificates: made.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}
				secure := proxy.NewTLSListener(l, config)
				if !own {
					secure = tls.NewListener(l, config)
				}
				e := proxy.NewEngine(h, proxy.ServerConfig{})
				done := make(chan struct{})
				go func() { defer close(done); _ = e.Serve(secure) }()
				trust := made.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
				trust.ServerName, trust.NextProtos = "example.com", alpn
				tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", l.Addr().String())
				}}
				tr.Protocols.SetHTTP1(!two)
				tr.Protocols.SetUnencryptedHTTP2(two)
				for range 2 {
					resp, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Post("http://x/", "", strings.NewReader("body"))
					if err != nil {
						t.Fatal(err)
					}
					b, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					if string(b) != "served" || (resp.ProtoMajor == 2) != two {
						t.Errorf("%v %v: %s %q", alpn, two, resp.Proto, b)
					}
					if s := <-seen; s == nil || s.Version < tls.VersionTLS12 {
						t.Errorf("the policy sees %+v", s)
					}
				}
				tr.CloseIdleConnections()
				e.Close()
				<-done
				h.Close()
			}
		}
	}
}

// Connections of a listener's own type, which embed a socket, are read and written by their own methods; so is what TLS is
// over. Small and large bodies, requests in pieces, and a wait in between.
func TestF4AcceptedConnectionThatWrapsTheSocket(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Write(b)
	}))
	defer app.Close()
	server, trust := certified(t)
	for name, inside := range map[string]*tls.Config{"clear": nil, "TLS": server} {
		t.Run(name, func(t *testing.T) {
			h, err := proxy.New(proxy.Config{Name: "x", Policy: toApp{addr: app.Listener.Addr().String()}})
			if err != nil {
				t.Fatal(err)
			}
			endWithTest(t, h)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			addr := l.Addr().String()
			if l = proxytest.VeilListener(l); inside != nil {
				l = proxy.NewTLSListener(l, inside)
			}
			e := proxy.NewEngine(h, proxy.ServerConfig{})
			done := make(chan struct{})
			go func() { defer close(done); _ = e.Serve(l) }()
			defer func() { e.Close(); <-done }()
			c, _ := dialEngine(t, addr)
			if c = proxytest.Veil(c); inside != nil {
				config := trust.Clone()
				config.ServerName = "example.com"
				c = tls.Client(c, config)
			}
			in := bufio.NewReader(c)
			for _, size := range []int{0, 10, 5000, 1 << 20, 1} {
				body := strings.Repeat("veil", size/4+1)[:size]
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", size)
				io.WriteString(c, "\r\n"+body)
				if resp, got := readAnswer(t, in, "POST"); resp.StatusCode != 200 || got != body {
					t.Errorf("%s, %d bytes of %d", resp.Status, len(got), size)
				}
			}
		})
	}
}
