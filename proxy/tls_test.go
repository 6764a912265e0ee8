package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// serveTLS runs a Handler on a TLS port, and returns how to trust it.
func serveTLS(t *testing.T, c proxy.Config) (addr string, trust *tls.Config) {
	t.Helper()
	server, trust := certified(t)
	trust.ServerName = "example.com"
	return serveOn(t, c, server), trust
}

// One TLS port takes HTTP/1.1 and HTTP/2, chosen by ALPN or, as Knative's activator does it, by nothing but the preface.
func TestTLSListenerTakesEveryWayToSpeak(t *testing.T) {
	for _, c := range []struct {
		name string
		alpn []string
		two  bool
	}{
		{"HTTP/1.1 without ALPN", nil, false},
		{"HTTP/1.1 by ALPN", []string{"http/1.1"}, false},
		{"HTTP/2 without ALPN", nil, true},
		{"HTTP/2 by ALPN", []string{"h2"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := make(chan *tls.ConnectionState, 2)
			addr, trust := serveTLS(t, proxy.Config{Name: "x", Policy: policyFuncs{
				next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
					seen <- r.TLS()
					return proxy.Answer(&proxy.Local{Status: 200, Body: "served"}), nil
				},
			}})
			trust.NextProtos = c.alpn
			// net/http's client asks for ALPN, so it is given a connection on which TLS is done.
			tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", addr)
			}}
			tr.Protocols.SetHTTP1(!c.two)
			tr.Protocols.SetUnencryptedHTTP2(c.two)
			defer tr.CloseIdleConnections()
			for range 2 {
				resp, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Post("http://x/", "", strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(b) != "served" || (resp.ProtoMajor == 2) != c.two {
					t.Errorf("%s %q", resp.Proto, b)
				}
				if s := <-seen; s == nil || s.Version < tls.VersionTLS12 {
					t.Errorf("the policy sees %+v", s)
				}
			}
		})
	}
}

// A client that never ends its handshake costs its own connection and nobody else's.
func TestTLSListenerDoesNotWaitForHandshakes(t *testing.T) {
	addr, trust := serveTLS(t, proxy.Config{Name: "x", Policy: policyFuncs{
		next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
			return proxy.Answer(&proxy.Local{Status: 204}), nil
		},
	}})
	for range 3 {
		silent, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	plain, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_ = plain.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, err := io.ReadAll(plain); len(b) > 0 && strings.HasPrefix(string(b), "HTTP/") {
		t.Errorf("plain HTTP was answered with %q, %v", b, err)
	}
	c, err := tls.Dial("tcp", addr, trust)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 204 {
		t.Errorf("%v, %v", resp, err)
	}
}
