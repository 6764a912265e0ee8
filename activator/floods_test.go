package activator_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/throttler"
)

// TestF5TwoFloods: two cold revisions have as many requests waiting as they can get, from one address; the first request of
// a third one and of a hundredth waits too, and all that wait are answered. It is the same where the address is that of an
// ingress through which everybody comes.
func TestF5TwoFloods(t *testing.T) {
	for name, ingress := range map[string][]netip.Prefix{"one client": nil, "an ingress": loopback} {
		t.Run(name, func(t *testing.T) {
			const total, flood, others = 400, 250, 100
			f := newFront(t, activator.Config{MaxWaiting: total, Proxies: ingress})
			revision := func(i int) throttler.RevisionID {
				return throttler.RevisionID{Namespace: "default", Name: fmt.Sprintf("cold-%05d", i)}
			}
			for i := range 2 + others {
				f.UpdateRevision(activator.Revision{ID: revision(i)})
			}
			done := make(chan []answer, 2)
			var refused atomic.Int64
			for i := range 2 {
				go func() {
					done <- together(flood, func(int) answer {
						a := f.get("/", "Host", revision(i).Name+".default.svc.cluster.local")
						if a.status == 503 {
							refused.Add(1)
						}
						return a
					})
				}()
			}
			await(t, "the floods to be bounded", func() bool {
				n := int(refused.Load())
				for i := range 2 {
					s, _ := f.Stats(revision(i))
					n += s.Waiting
				}
				return n == 2*flood
			})
			p := newPod(t, "pod-1", 0, false, nil)
			for i := 2; i < 2+others; i++ {
				from := "127.0.1." + fmt.Sprint(i)
				if ingress != nil {
					from = "127.0.0.1"
				}
				c, in := coldStart(t, f, from, revision(i).Name)
				defer c.Close()
				await(t, "the cold start of another revision to wait", func() bool { s, _ := f.Stats(revision(i)); return s.Waiting == 1 })
				defer func() {
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if resp.StatusCode != 200 {
						t.Errorf("revision %d: %s", i, resp.Status)
					}
				}()
			}
			for i := range 2 + others {
				f.UpdateEndpoints(revision(i), endpointsOf(p))
			}
			n := map[int]int{}
			for range 2 {
				for _, a := range <-done {
					n[a.status]++
					if a.status == 503 && (!strings.HasPrefix(a.body, "pending request queue full\n") || a.header.Get("Retry-After") == "") {
						t.Error(a, a.header)
					}
				}
			}
			if n[200] < total/2 || n[200] > total || n[200]+n[503] != 2*flood {
				t.Errorf("answers to the floods: %v", n)
			}
		})
	}
}

// coldStart sends a request from an address of 127.0.0.0/8.
func coldStart(t *testing.T, f *front, from, revision string) (net.Conn, *bufio.Reader) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+revision+".default.svc.cluster.local\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}
