package activator_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
)

// TestStormLeavesNothing: clients that come, leave, half-close, pipeline and time out while pods come and go, and once in
// a while the revision: every answer is its request's, and afterwards nobody waits, no slot is held, and the gauges are at
// zero.
func TestStormLeavesNothing(t *testing.T) {
	t.Parallel()
	registry, r := prometheus.NewRegistry(), &reports{}
	f := newFront(t, activator.Config{Registerer: registry, Reporter: r, ReportPeriod: 50 * time.Millisecond})
	app := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
		fmt.Fprintf(w, "%s|%d", r.URL.Path, len(b))
	}
	pods := []*pod{newPod(t, "a", 0, false, app), newPod(t, "b", 0, false, app)}
	revision := activator.Revision{ID: hello, Limit: 2, Timeouts: proxy.Timeouts{ResponseStart: 40 * time.Millisecond}}
	f.UpdateRevision(revision)
	f.UpdateEndpoints(hello, endpointsOf(pods...))
	f.awaitUsable(t, 2)

	// It lasts until there was a storm: on a busy machine 40 ms are seldom enough.
	var statuses [600]atomic.Int64
	began := time.Now()
	storms := func() bool {
		lasted := time.Since(began)
		return lasted < 2*time.Second || lasted < time.Minute && (statuses[200].Load() == 0 || statuses[504].Load() == 0)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := 0; storms(); i++ {
			time.Sleep(time.Duration(rand.IntN(15)) * time.Millisecond)
			f.UpdateEndpoints(hello, endpointsOf(pods[:i%3]...))
			if i%40 == 39 {
				f.DeleteRevision(hello)
				time.Sleep(time.Millisecond)
				f.UpdateRevision(revision)
			}
		}
	})
	addr := strings.TrimPrefix(f.url, "http://")
	for i := range 48 {
		all.Go(func() {
			for j := 0; storms(); j++ {
				stormOnce(t, addr, fmt.Sprintf("/%d-%d", i, j), statuses[:])
			}
		})
	}
	all.Wait()
	if statuses[200].Load() == 0 || statuses[504].Load() == 0 {
		t.Errorf("%d answers of 200, %d of 504: it was no storm", statuses[200].Load(), statuses[504].Load())
	}
	f.UpdateEndpoints(hello, endpointsOf(pods...))
	revision.Timeouts = proxy.Timeouts{}
	f.UpdateRevision(revision)
	await(t, "everything to end", func() bool {
		s, _ := f.Stats(hello)
		return s.Waiting == 0 && s.InFlight == 0
	})
	await(t, "a report of zeros", func() bool {
		all := r.list()
		return all[len(all)-1].Stat.AverageConcurrentRequests == 0
	})
	await(t, "the gauges to be at zero", func() bool {
		families, err := registry.Gather()
		for _, family := range families {
			for _, m := range family.GetMetric() {
				name := family.GetName()
				if g := m.GetGauge(); g != nil && (strings.HasSuffix(name, "_queued") || strings.HasSuffix(name, "_active")) && g.GetValue() != 0 {
					return false
				}
			}
		}
		return err == nil
	})
	if a := f.get("/after"); !a.ok() || a.body != "/after|0" {
		t.Error(a)
	}
}

// stormOnce is one of the clients, which gets what it asked for or loses patience.
func stormOnce(t *testing.T, addr, path string, statuses []atomic.Int64) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	in, left := bufio.NewReader(conn), 0
	send := func(fields, body string) {
		left++
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", path, helloHost, fields, body)
	}
	want, leave := path+"|0", rand.IntN(3) == 0
	switch rand.IntN(5) {
	case 0:
		send("", "")
	case 1:
		send("", "")
		send("", "")
	case 2: // some of the body stays unread while it waits
		want = path + "|40000"
		send("Content-Length: 40000\r\n", strings.Repeat("x", 20_000))
		if leave {
			break
		}
		_, _ = io.WriteString(conn, strings.Repeat("x", 20_000))
	case 3:
		send("Connection: Upgrade\r\nUpgrade: echo\r\n", "")
	case 4:
		send("", "")
		if leave {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}
	if leave {
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		if rand.IntN(2) == 0 {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		return
	}
	for ; left > 0; left-- {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		b, err := io.ReadAll(resp.Body)
		if statuses[resp.StatusCode].Add(1); err != nil || resp.StatusCode == http.StatusOK && string(b) != want {
			t.Errorf("%s: %s %q, %v", path, resp.Status, b, err)
		}
		switch resp.StatusCode {
		case http.StatusOK, http.StatusNotFound, http.StatusGatewayTimeout:
		default:
			t.Errorf("%s: %s %q", path, resp.Status, b)
		}
		if resp.Close {
			return
		}
	}
}
