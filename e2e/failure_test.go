package e2e

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// one has the annotations of services with exactly one pod.
var one = map[string]string{"min-scale": "1", "max-scale": "1"}

func TestAppDiesMidBurst(t *testing.T) {
	t.Parallel()
	q := serve(t, service{concurrency: podLimit, annotations: one})
	dieMidBurst(t, q.client(100), func(path string) string { return q.url("app", path) })
}

// dieMidBurst kills the app in the middle of a burst. Only requests that had been written to its sockets may fail, with 502,
// since the app may have processed them: those in flight, and the few that took their slots before the kernel had closed the
// last socket.
func dieMidBurst(t *testing.T, c *http.Client, url func(path string) string) {
	victim := mustGet(t, c, url("/")).pid()
	// They are POSTs, which may not be retried once sent, so that each request in the killed process fails visibly.
	answers := burst(60, func(i int) answer {
		time.Sleep(time.Duration(i) * 3 * time.Millisecond) // the request that kills the app is neither the first nor the last
		path := "/sleep?d=50ms"
		if i == 20 {
			path = "/die"
		}
		return do(c, request(http.MethodPost, url(path), "body"))
	})
	failed, after := 0, 0
	for i, a := range answers {
		switch {
		case a.err == nil && a.status == http.StatusBadGateway && strings.Contains(a.head.Get("Proxy-Status"), `"upstream_closed"`):
			failed++
		case !a.ok():
			t.Errorf("request %d: %v", i, a)
		case a.pid() != victim:
			after++
		}
	}
	t.Logf("%d failed, %d answered by the next process", failed, after)
	if failed < 1 || failed > 3*podLimit {
		t.Errorf("%d requests failed, with %d in flight", failed, podLimit)
	}
	if after == 0 {
		t.Error("no request was left for the next process: the burst was too small")
	}
	if a := mustGet(t, c, url("/")); a.pid() == victim {
		t.Error("answered by the killed process")
	}
}

func TestPeers2PodTurnsUnreadyAndBack(t *testing.T) {
	const limit = 5
	q := serve(t, service{
		concurrency: limit, annotations: map[string]string{"min-scale": "2", "max-scale": "2"},
		probe: "{httpGet: {path: /ready}, periodSeconds: 1, failureThreshold: 1}",
	})
	c := q.client(1)
	mustGet(t, c, q.url("app", "/"))
	l := q.startLoad(q.url("app", "/sleep?d=3ms")) // a single pod has room for it: limit/3 ms = 1666 per second
	serving := func(n note) bool { return progress(t, n) }
	var pods []note
	q.eventually("both pods serve", func() bool {
		pods = q.apps()
		return len(pods) == 2 && pods[0].Addr != "" && pods[1].Addr != "" && serving(pods[0]) && serving(pods[1])
	})
	// The first probe is the activator's, which then uses the pod; the second is that of the quickstart's kubelet.
	q.eventually("both have answered two probes", func() bool {
		return pods[0].stats(t).SaidReady >= 2 && pods[1].stats(t).SaidReady >= 2
	})
	flapping := pods[0]
	if resp, err := http.Get("http://" + flapping.Addr + "/unready?for=4s"); err != nil {
		t.Fatal(err)
	} else {
		_ = resp.Body.Close()
	}
	q.eventually("the unready pod gets nothing", func() bool { return !serving(flapping) })
	q.eventually("it serves again", func() bool { return serving(flapping) })
	l.end(t)
	l.within(t, limit)
	for _, p := range pods {
		if s := p.stats(t); s.Max > limit {
			t.Errorf("process %d had %d in flight", s.PID, s.Max)
		}
	}
}

// progress reports whether a pod gets requests: half a second of the load is 300 of them for two pods.
func progress(t testing.TB, n note) bool {
	before := n.stats(t).Total
	for deadline := time.Now().Add(500 * time.Millisecond); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if n.stats(t).Total > before {
			return true
		}
	}
	return false
}

func TestPeers1ClientsThatVanishWhileQueued(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "with an unread body"} {
		t.Run("body "+body, func(t *testing.T) {
			t.Parallel()
			q := serve(t, service{concurrency: 1, annotations: one})
			c := q.client(10)
			mustGet(t, c, q.url("app", "/"))
			pod := q.apps()[0]

			first := make(chan answer, 1)
			go func() { first <- get(c, q.url("app", "/sleep?d=2s")) }()
			q.eventually("the slot is taken", func() bool { return pod.stats(t).InFlight == 1 })
			vanishing := make([]net.Conn, 100)
			for i := range vanishing {
				vanishing[i] = sendHead(t, q.addr(), q.host("app"), body != "")
			}
			stay := make(chan []answer, 1)
			go func() { stay <- burst(5, func(int) answer { return get(c, q.url("app", "/")) }) }()
			for _, conn := range vanishing {
				_ = conn.Close()
			}
			if a := <-first; !a.ok() {
				t.Errorf("the request in the app: %v", a)
			}
			freed := time.Now()
			for _, a := range <-stay {
				if !a.ok() {
					t.Errorf("a request whose client stayed: %v", a)
				}
			}
			// Each request whose client has gone would have slept for two seconds.
			if d := time.Since(freed); d > 2*time.Second {
				t.Errorf("the requests whose clients stayed waited for %v after the slot was free", d)
			}
			if s := pod.stats(t); s.Total != 7 || s.Gone != 0 {
				t.Errorf("the app saw %+v, want 7 requests of clients that stayed", s)
			}
		})
	}
}

// sendHead sends the head of a request that would take two seconds, and some of its body.
func sendHead(t testing.TB, addr, host string, body bool) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	head := "GET /sleep?d=2s HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	if body {
		head = "POST /sleep?d=2s HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 2000)
	}
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNeverReady(t *testing.T) {
	const timeout = 3 * time.Second
	for _, c := range []struct {
		name, reason string
		service
	}{
		{"never listens", "the app has not begun to listen on $PORT", service{env: map[string]string{"APP_LISTEN_AFTER": "never"}}},
		{"probe fails", "the readiness probe fails: GET /ready on 127.0.0.1:", service{
			probe: "{httpGet: {path: /ready}}", env: map[string]string{"APP_UNREADY": "1h"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // with the other one, as both mostly wait
			c.timeout = int(timeout.Seconds())
			q := serve(t, c.service)
			client := q.client(3)
			// The machine may stall: the best of three counts.
			best := time.Hour
			for range 3 {
				a := get(client, q.url("app", "/"))
				if a.status != http.StatusGatewayTimeout || !strings.HasPrefix(a.body, "activator request timeout\n") {
					t.Fatalf("%v", a)
				}
				best = min(best, a.arrived.Sub(a.sent))
				if best < timeout {
					t.Fatalf("504 after %v already", best)
				}
				if best <= timeout+100*time.Millisecond {
					break
				}
			}
			t.Logf("504 after %v", best)
			if best > timeout+100*time.Millisecond {
				t.Errorf("504 after %v at best", best)
			}
			q.sees("not ready: " + c.reason)
		})
	}
}
