package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var wrkTotal = regexp.MustCompile(`(\d+) requests in `)

// wrk loads each server for a moment over 20 connections. No request fails, and the app gets every request once.
func (s *realApps) wrk(t *testing.T) {
	s.routes(t, false, func(t *testing.T, d route) {
		before := s.seen(t, d.server)
		out := program(t, "wrk", "-t1", "-c20", "-d1s", "--timeout", "20s", "-H", "Host: "+d.host, "http://"+d.addr+"/files/small.txt")
		total := 0
		if m := wrkTotal.FindStringSubmatch(out); m != nil {
			total = atoi(m[1])
		}
		if total == 0 || strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
			t.Errorf("%s", out)
		}
		if !d.has("stats") {
			return
		}
		// wrk does not count requests that are in flight when it ends.
		if n := s.seen(t, d.server) - before; n < total || n > total+20 {
			t.Errorf("the app saw %d requests, wrk made %d", n, total)
		}
	})
}

// seen asks an app for the number of its requests, and returns 0 if the app does not count them.
func (s *realApps) seen(t *testing.T, h server) int {
	t.Helper()
	if !h.has("stats") {
		return 0
	}
	return s.appStats(t, h.name).Requests
}

// appStats are the counters of an app, Node's or e2e/app, asked directly.
type appStats struct {
	Requests, Aborted, Connections int
	Total                          int // Requests of e2e/app
}

func (s *realApps) appStats(t *testing.T, name string) appStats {
	t.Helper()
	resp, err := http.Get("http://127.0.0.1:" + itoa(s.pods[name].appPort) + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var a appStats
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	a.Requests += a.Total
	return a
}

// h2loads are ways to use h2load. The queue-proxy lets 50 requests wait beside 5.
var h2loads = []struct {
	name string
	h2   bool
	n    int
	args []string
	path string
	need string
	body bool // requests upload the large file
}{
	{"small", false, 300, []string{"--h1", "-c", "20"}, "/files/small.txt", "", false},
	{"pipelined", false, 300, []string{"--h1", "-c", "5", "-m", "8"}, "/files/small.txt", "", false},
	{"large", false, 20, []string{"--h1", "-c", "5"}, "/files/large.bin", "", false},
	{"echo", false, 20, []string{"--h1", "-c", "5"}, "/echo", "chunked", true},
	{"HTTP/2 small", true, 300, []string{"-c", "4", "-m", "10"}, "/files/small.txt", "", false},
	{"HTTP/2 large", true, 20, []string{"-c", "2", "-m", "10"}, "/files/large.bin", "", false},
	{"HTTP/2 echo", true, 20, []string{"-c", "2", "-m", "5"}, "/echo", "chunked", true},
	{"HTTP/2 tiny windows", true, 5, []string{"-c", "1", "-m", "5", "-w", "12", "-W", "13"}, "/files/large.bin", "", false},
}

var h2loadTraffic = regexp.MustCompile(`\((\d+)\) data`)

func (s *realApps) h2load(t *testing.T) {
	for _, l := range h2loads {
		t.Run(l.name, func(t *testing.T) {
			s.routes(t, l.h2, func(t *testing.T, d route) {
				if !d.has(l.need) {
					return
				}
				n := l.n
				if d.server.name == "python" || raceEnabled {
					n = min(n, 60) // Python has a thread and a connection for each
				}
				args := append([]string{"-n", itoa(n), "--connect-to", d.addr}, l.args...)
				if l.body {
					args = append(args, "-d", s.files+"/files/large.bin")
				}
				out := program(t, "h2load", append(args, d.url(l.path))...)
				if want := fmt.Sprintf("%d succeeded, 0 failed, 0 errored, 0 timeout", n); !strings.Contains(out, want) ||
					!strings.Contains(out, fmt.Sprintf("%d 2xx", n)) {
					t.Errorf("not %q: %s", want, out)
				}
				size := len(smallText)
				if l.path != "/files/small.txt" {
					size = len(s.large)
				}
				if m := h2loadTraffic.FindStringSubmatch(out); m == nil || atoi(m[1]) < n*size {
					t.Errorf("less than %d × %d bytes: %s", n, size, out)
				}
			})
		})
	}
}

// nghttps are ways to use nghttp, and a text that its log of frames must contain.
var nghttps = []struct {
	name  string
	needs string
	args  []string
	path  string
	body  func(*realApps) []byte
	log   string
}{
	{name: "GET much", path: "/files/large.bin", body: large},
	{name: "small windows and padding", args: []string{"-w", "12", "-W", "13", "--padding", "100"}, path: "/files/large.bin", body: large},
	{name: "POST", needs: "chunked", args: []string{"-d", "$LARGE"}, path: "/echo", body: large},
	{name: "POST with trailers", needs: "chunked", args: []string{"-d", "$LARGE", "--trailer", "sum: 1"}, path: "/echo", body: large},
	{name: "trailers", needs: "trailers", args: []string{"-H", "te: trailers"}, path: "/files/trailers.txt", body: small, log: "checksum: sum-of-it"},
	{name: "continuation", needs: "heads", args: []string{"--continuation"}, path: "/files/small.txt", body: small},
}

func (s *realApps) nghttp(t *testing.T) {
	needs(t, "nghttp")
	s.routes(t, true, func(t *testing.T, d route) {
		for _, c := range nghttps {
			if !d.has(c.needs) {
				continue
			}
			args := []string{"-H", ":authority: " + d.host}
			for _, a := range c.args {
				args = append(args, strings.ReplaceAll(a, "$LARGE", s.files+"/files/large.bin"))
			}
			args = append(args, "http://"+d.addr+c.path)
			cmd := exec.CommandContext(t.Context(), "nghttp", args...)
			if got, err := cmd.Output(); err != nil || !bytes.Equal(got, c.body(s)) {
				t.Errorf("%s: %v, a body of %d bytes, want these %d", c.name, err, len(got), len(c.body(s)))
			}
			if c.log == "" {
				continue
			}
			if log := program(t, "nghttp", append([]string{"-nv"}, args...)...); !strings.Contains(log, c.log) {
				t.Errorf("%s: no %q in %s", c.name, c.log, log)
			}
		}
		// Twenty concurrent streams on one connection.
		out := program(t, "nghttp", "-ns", "-m", "20", "-H", ":authority: "+d.host, "http://"+d.addr+"/files/large.bin")
		if n := strings.Count(out, " 200 "); n != 20 {
			t.Errorf("%d of 20 answered 200: %s", n, out)
		}
	})
}
