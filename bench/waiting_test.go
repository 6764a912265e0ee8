package bench

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// waitingRequests is the maximum of requests that wait at an activator for all revisions, and streams the number of them on
// one connection of HTTP/2.
const (
	waitingRequests = 20_000
	streams         = 1000
)

// BenchmarkWaiting measures the memory of an activator with 20 000 waiting requests, 10 s after the last byte, in all and for
// each. It needs 20 000 open files on each side (ulimit -n); with fewer it measures as many requests as possible.
//
//	go test -run '^$' -bench Waiting -benchtime 1x ./bench
func BenchmarkWaiting(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("there is no /proc to read a process's memory from")
	}
	dir := b.TempDir()
	buildReleased(b, dir, module+"/cmd/activator")
	for name, send := range map[string]func(b *testing.B, addr string) int{"HTTP1": sendHTTP1, "HTTP2": sendHTTP2} {
		b.Run(name, func(b *testing.B) {
			// A single revision may use half of the total.
			addr, p := activatorProcess(b, dir, "", "-max-waiting", fmt.Sprint(3*waitingRequests),
				"-max-waiting-per-revision", fmt.Sprint(waitingRequests), "-trusted-peers", "127.0.0.0/8")
			before := p.resident(b)
			n := send(b, addr)
			time.Sleep(10 * time.Second)
			after := p.resident(b)
			b.ReportMetric(float64(n), "waiting")
			b.ReportMetric(after/1024, "MiB")
			b.ReportMetric((after-before)/float64(n), "KiB/waiting")
			b.ReportMetric(0, "ns/op") // means nothing here
		})
	}
}

func sendHTTP1(b *testing.B, addr string) (n int) {
	const others = 100 // other open files
	var open []net.Conn
	b.Cleanup(func() {
		for _, c := range open {
			c.Close()
		}
	})
	for ; n < waitingRequests; n++ {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Logf("after %d: %v", n, err)
			for ; n > 0 && len(open)-n < others; n-- {
				open[n-1].Close()
			}
			return n
		}
		open = append(open, c)
		if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n", n, host); err != nil {
			b.Fatal(err)
		}
	}
	return n
}

func sendHTTP2(b *testing.B, addr string) (n int) {
	for n < waitingRequests {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
		var out, block bytes.Buffer
		out.WriteString(http2.ClientPreface)
		frames, fields := http2.NewFramer(&out, nil), hpack.NewEncoder(&block)
		_ = frames.WriteSettings() // to a buffer, like the frames that follow
		for i := range streams {
			block.Reset()
			for _, f := range [][2]string{
				{":method", "GET"},
				{":scheme", "http"},
				{":authority", host},
				{":path", fmt.Sprintf("/%d", n+i)},
				{"user-agent", "bench/1"},
				{"accept", "*/*"},
			} {
				_ = fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			_ = frames.WriteHeaders(http2.HeadersFrameParam{
				StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true,
			})
		}
		if _, err := c.Write(out.Bytes()); err != nil {
			b.Fatal(err)
		}
		n += streams
	}
	return n
}
