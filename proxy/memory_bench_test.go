package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// memoryServe, in the environment of this test's program, makes it a proxy to the app at that address instead.
const memoryServe = "SLUICE_PROXY_MEMORY_SERVE"

// How it does so, behind the name.
const (
	insideTLS = "_TLS"
	copying   = "_COPY" // has it copy what it would splice
)

// BenchmarkMemory measures what a connection adds to the resident memory of a proxy's process, 10 s after the last byte:
// one that is idle, one whose request is suspended by the policy, and one whose request is in an Await of the policy.
//
//	go test -run '^$' -bench Memory ./proxy
func BenchmarkMemory(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("there is no /proc to read a process's memory from")
	}
	const conns = 9000
	head := func(target string, size int) string {
		s := "GET " + target + " HTTP/1.1\r\nHost: example.com\r\n"
		line := "X-Some-Header: " + strings.Repeat("x", 46) + "\r\n"
		return s + strings.Repeat(line, max(size-8-len(s), 0)/len(line)) + "\r\n"
	}
	for _, c := range []struct {
		name, target string
		size         int
		tls          bool
	}{
		{"idle", "/", 400, false},
		{"idle-TLS", "/", 400, true},
		{"suspended/head=200", "/suspend", 200, false},
		{"suspended/head=1000", "/suspend", 1000, false},
		{"awaiting/head=1000", "/await", 1000, false},
		{"unfinished/head=61000", "/unfinished", 61000, false}, // most are given up for newer ones
	} {
		b.Run(c.name, func(b *testing.B) {
			how := ""
			if c.tls {
				how = insideTLS
			}
			addr, pid := memoryServer(b, rawApp(b, small), how)
			before := residentKiB(b, pid)
			for i := range conns {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				if c.tls {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				text := head(fmt.Sprintf("%s?%d", c.target, i), c.size)
				if c.target == "/unfinished" {
					text = text[:len(text)-2]
				}
				if _, err := io.WriteString(conn, text); err != nil {
					b.Fatal(err)
				}
				if c.target == "/" {
					if _, err := io.ReadFull(conn, make([]byte, len(small))); err != nil {
						b.Fatal(err)
					}
				}
			}
			time.Sleep(10 * time.Second) // as the target says
			b.ReportMetric((residentKiB(b, pid)-before)/conns, "KiB/conn")
			b.ReportMetric(0, "ns/op") // means nothing here
		})
	}
}

// residentKiB is a process's VmRSS.
func residentKiB(b *testing.B, pid int) (n float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// memoryServer starts this program as a proxy, which ends with the benchmark.
func memoryServer(b *testing.B, app, how string) (addr string, pid int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memoryServe+"="+app)
	if how != "" {
		cmd.Env = append(cmd.Env, memoryServe+how+"=1")
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// serveForMemory is what that program does: it prints its address, and serves until its input ends.
func serveForMemory(app string) error {
	c := proxy.Config{Name: "x", Policy: &holding{lean: lean{upstream: proxy.Upstream{Addr: app, Timeouts: proxy.Timeouts{Total: time.Hour}}}}}
	if os.Getenv(memoryServe+copying) != "" {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return struct{ halfCloser }{conn.(*net.TCPConn)}, nil
		}
	}
	h, err := proxy.New(c)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr()
	if os.Getenv(memoryServe+insideTLS) != "" {
		made := httptest.NewUnstartedServer(nil) // for its certificate
		made.StartTLS()
		config := &tls.Config{Certificates: made.TLS.Certificates}
		made.Close()
		l = proxy.NewTLSListener(l, config)
	}
	e := proxy.NewEngine(h, proxy.ServerConfig{})
	go func() { _ = e.Serve(l) }()
	if _, err := fmt.Println(addr); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil // with the process everything else ends
}

// halfCloser is a connection that doesn't show its socket.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// holding has requests wait for ever, as their target says.
type holding struct{ lean }

func (p *holding) Begin(*proxy.Request) proxy.Exchange { return p }

func (p *holding) Next(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	t := p.upstream.Timeouts
	switch {
	case a.Ended != nil:
		return proxy.Decision{}, a.Ended
	case strings.HasPrefix(r.Target, "/suspend"):
		r.Suspend(t)
		return proxy.Wait(), nil
	case strings.HasPrefix(r.Target, "/await"):
		return r.Await(t, func(ctx context.Context) { <-ctx.Done() }), nil
	}
	return p.lean.Next(r, a)
}
