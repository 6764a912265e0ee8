package e2e

import (
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// browserCases are the cases of testdata/page.html, in its order, with the trait that each needs.
var browserCases = [][2]string{
	{"file", ""}, {"many", ""}, {"upload", "chunked"}, {"refused", "refuse"}, {"abort", "aborts"}, {"events", "events"}, {"socket", "socket"},
}

// browser makes Chromium open the page through each route, one after the other, and run its cases.
func (s *realApps) browser(t *testing.T) {
	needs(t, "chromium")
	reports := make(chan [2]string, 1)
	at := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		reports <- [2]string{r.URL.Path, string(b)}
	}))
	defer at.Close()
	var routes []route
	for _, h := range s.servers { // other clients' tests report servers that are missing
		routes = append(routes, s.routesTo(h, false)...)
	}
	next := ""
	for i := len(routes) - 1; i >= 0; i-- {
		next = s.page(routes[i], at.URL, next)
	}
	profile := filepath.Join(s.dir, "chromium")
	chromium := s.launch("chromium", exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--no-proxy-server", "--host-resolver-rules=MAP *.svc.cluster.local 127.0.0.1",
		"--user-data-dir="+profile, next))
	defer eventually(t, "Chromium no longer writes to its profile", func() bool { return os.RemoveAll(profile) == nil })
	defer chromium.kill()
	for _, d := range routes {
		select {
		case r := <-reports:
			t.Run(d.server.name+"/"+d.name, func(t *testing.T) { checkReport(t, d, r) })
		case <-time.After(time.Minute):
			t.Fatalf("no report from %s", d.url(""))
		}
	}
}

// page returns the URL of the page through a route.
func (s *realApps) page(d route, report, then string) string {
	sum := fnv.New32a()
	_, _ = sum.Write(s.large)
	return d.url("/files/page.html?") + url.Values{
		"can": {d.can}, "sum": {fmt.Sprint(sum.Sum32())}, "report": {report + "/" + d.host}, "then": {then},
	}.Encode()
}

func checkReport(t *testing.T, d route, r [2]string) {
	t.Helper()
	var want []string
	for _, c := range browserCases {
		if d.has(c[1]) {
			want = append(want, c[0]+": ok")
		}
	}
	if r[0] != "/"+d.host || r[1] != strings.Join(want, "\n") {
		t.Errorf("from %s: %q, want %q", r[0], r[1], want)
	}
}
