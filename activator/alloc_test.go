//go:build !race

package activator_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/activator"
)

// TestAllocatesNothing: over a connection that is kept, a request that finds a free slot costs no allocation, from the
// client's socket to the pod's and back. (Under the race detector pools drop what they hold, at random.)
func TestAllocatesNothing(t *testing.T) {
	p := rawPod(t)
	f := newFront(t, activator.Config{Registerer: prometheus.NewRegistry(), Reporter: &reports{}})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 100, Timeouts: timeout(time.Minute)})
	f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{{ID: "pod", Addr: p}}})
	f.awaitUsable(t, 1)
	for name, head := range map[string]string{
		"by host":    "Host: " + helloHost + "\r\n",
		"by headers": "Host: x\r\nKnative-Serving-Namespace: " + hello.Namespace + "\r\nKnative-Serving-Revision: " + hello.Name + "\r\n",
		"of an ingress": "Host: hello.example.com\r\nUser-Agent: x\r\nAccept: */*\r\nForwarded: for=10.0.0.1;proto=http\r\nX-Forwarded-For: 10.0.0.1\r\n" +
			"K-Original-Host: hello.example.com\r\nKnative-Serving-Namespace: " + hello.Namespace + "\r\nKnative-Serving-Revision: " + hello.Name + "\r\n",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		ask, got := []byte("GET / HTTP/1.1\r\n"+head+"\r\n"), make([]byte, 1<<10)
		exchange := func() {
			if err := rawExchange(c, ask, got); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			exchange()
		}
		if n := testing.AllocsPerRun(2000, exchange); n != 0 {
			t.Errorf("%s: %v allocations a request", name, n)
		}
		c.Close()
	}
}

// rawExchange sends a request, and reads the answer of a rawPod.
func rawExchange(c net.Conn, ask, got []byte) error {
	if _, err := c.Write(ask); err != nil {
		return err
	}
	for n := 0; ; {
		m, err := c.Read(got[n:])
		if err != nil {
			return err
		}
		if n += m; bytes.HasSuffix(got[:n], []byte("\r\n\r\nqueue")) {
			return nil
		}
	}
}

// rawPod answers probes and requests alike, and allocates nothing either.
func rawPod(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup // they end when the activator lets go of them
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { answerRaw(c) })
		}
	})
	return l.Addr().String()
}

func answerRaw(c net.Conn) {
	defer c.Close()
	answer, head := []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nqueue"), make([]byte, 1<<12)
	for n := 0; ; {
		m, err := c.Read(head[n:])
		if err != nil {
			return
		}
		if n += m; bytes.HasSuffix(head[:n], []byte("\r\n\r\n")) {
			n = 0
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}
}
