package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// One GiB passes in each direction. "Flat" is at most 16 MiB of growth, in the quickstart and in the queue-proxy.
func TestLargeBodiesNeedNoMemory(t *testing.T) {
	needProc(t)
	size := int64(1 << 30)
	if raceEnabled {
		size = 64 << 20 // the race detector makes it ten times slower
	}
	for _, protocol := range []string{"HTTP/1.1", "h2c"} {
		t.Run(protocol, func(t *testing.T) {
			q := serve(t, service{})
			c := loadClients[protocol](t, q.addr())
			// The first bodies fill the heap with the garbage that internal/heap allows, once.
			upload(t, c, q.url("app", "/upload"), size/4)
			download(t, c, q.url("app", "/download"), size/4)
			watch := q.watchMemory()
			upload(t, c, q.url("app", "/upload"), size)
			download(t, c, q.url("app", "/download"), size)
			for p, grown := range watch() {
				t.Logf("grew by %6d KiB: %v", grown>>10, p)
				if grown > 16<<20 && !raceEnabled { // by its manual the race detector multiplies memory by 5 to 10
					t.Errorf("%v grew by %d KiB", p, grown>>10)
				}
			}
		})
	}
}

// watchMemory samples the memory of the quickstart's own processes until the function that it returns is called, which
// returns the maximum growth of each.
func (q *quickstart) watchMemory() func() map[process]int64 {
	before, most := map[process]int64{}, map[process]int64{}
	for _, p := range q.processes() {
		if p.exe == "quickstart" {
			before[p] = anonymous(p.pid)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			for p := range before {
				most[p] = max(most[p], anonymous(p.pid)-before[p])
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() map[process]int64 {
		close(stop)
		<-stopped
		return most
	}
}

func upload(t testing.TB, c *http.Client, url string, n int64) {
	t.Helper()
	r := request("POST", url, "")
	r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, n)), n
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, _ := io.ReadAll(resp.Body); strings.TrimSpace(string(got)) != fmt.Sprint(n) {
		t.Fatalf("%d bytes went up, the app counted %q", n, got)
	}
}

func download(t testing.TB, c *http.Client, url string, n int64) {
	t.Helper()
	resp, err := c.Do(request("GET", fmt.Sprintf("%s?n=%d", url, n), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, err := io.Copy(io.Discard, resp.Body); err != nil || got != n {
		t.Fatalf("%d bytes of %d came down, %v", got, n, err)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
