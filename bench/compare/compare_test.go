package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator/static"
	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/origin"
	"github.com/sluice-proxy/sluice/bench/internal/process"
	"github.com/sluice-proxy/sluice/bench/internal/report"
)

// installed skips a test if programs aren't installed.
func installed(t *testing.T, programs ...string) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
	for _, p := range programs {
		if _, err := find(p); err != nil {
			t.Skip(p + " isn't installed")
		}
	}
}

// A whole comparison has two contenders, a peer, and one that rejects everything.
func TestComparison(t *testing.T) {
	installed(t, "nginx", "wrk")
	t.Setenv("SELF", executable(t))
	file, chart := filepath.Join(t.TempDir(), "all.json"), filepath.Join(t.TempDir(), "all.svg")
	var out, progress bytes.Buffer
	err := run(t.Context(), []string{
		"-scenarios", "conns-4", "-contenders", "nginx,reverseproxy", "-rounds", "1", "-duration", "1s", "-json", file, "-plot", chart,
		"-peer", "mine=" + roleVariable + `=reverseproxy exec "$SELF"`, "-peer", "broken=echo no such option; exit 3",
	}, &out, &progress)
	if err == nil || err.Error() != errFailed.Error() {
		t.Errorf("%v, want %v\n%s", err, errFailed, progress.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Scenarios) != 1 || len(r.Scenarios[0].Rows) != 4 {
		t.Fatalf("%s", text)
	}
	for _, row := range r.Scenarios[0].Rows[:3] {
		if len(row.Samples) != 1 || row.Failed != "" {
			t.Fatalf("%+v\n%s", row, progress.String())
		}
		if s := row.Samples[0]; s.Requests < 1 || s.CPU <= 0 || s.P50 <= 0 || s.P99 != 0 && s.P99 < s.P50 || s.P999 != 0 && s.P999 < s.P99 || s.Resident < 1<<20 {
			t.Errorf("%s: %+v", row.Contender, s)
		}
	}
	if row := r.Scenarios[0].Rows[3]; !strings.Contains(row.Failed, "broken ended (exit status 3); it said: no such option") || len(row.Samples) > 0 {
		t.Errorf("%+v", row)
	}
	if !strings.Contains(out.String(), "| conns-4 ") || !strings.Contains(out.String(), "**failed**") || !strings.Contains(out.String(), " 1.00 ") {
		t.Errorf("%s", out.String())
	}
	if text, err = os.ReadFile(chart); err != nil || !bytes.Contains(text, []byte("reverseproxy")) {
		t.Errorf("%v: %s", err, text)
	}
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Every contender except Knative's, whose module is large, serves each protocol as configured, and holds requests beyond its
// limit if it can.
func TestContendersAnswer(t *testing.T) {
	installed(t, "nginx", "haproxy", "nghttpx")
	all := slices.DeleteFunc(contenders(), func(c *contender) bool { return c.name == "knative" })
	// The builds have go test's flags, so that packages of other tests are in the cache. With other flags they took 593 s on a
	// busy machine, and a test binary has 600 s.
	s, err := prepare(t.Context(), all, building{args: []string{"build"}}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	app, err := s.startApp(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer app.stop()
	for _, c := range all {
		for _, protocol := range []load.Protocol{load.HTTP1, load.HTTP2, load.GRPC} {
			st, err := c.start(s, job{dir: t.TempDir(), upstream: app.addr, protocol: protocol, app: (&scenario{protocol: protocol}).app(), limit: 2, queue: 50, pods: manyPods})
			if err != nil {
				t.Fatal(err)
			}
			if err := st.ready(t.Context(), protocol); err != nil {
				t.Errorf("%s, %s: %v", c.name, protocol, err)
			} else if protocol == load.HTTP1 {
				crowded(t, c.name, st.addr)
			}
			st.stop()
		}
	}
	settingsArrive(t, s, app.addr)
}

// crowded sends more concurrent requests than the limit.
func crowded(t *testing.T, name, addr string) {
	t.Helper()
	c, err := load.Gather(t.Context(), load.Target{Addr: addr, Path: origin.Slow, Protocol: load.HTTP1}, 40)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Send(t.Context()), c.Receive(t.Context())); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// Scenarios whose load is not that of others measure what they should.
func TestScenarios(t *testing.T) {
	installed(t, "nginx", "h2load")
	all, err := choose("contender", contenders(), "nginx", func(c *contender) string { return c.name })
	if err != nil {
		t.Fatal(err)
	}
	s, err := prepare(t.Context(), all, building{}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	o := options{contenders: all, rounds: 1, duration: time.Second}
	const names = "http2-64x1,http2-1x1,http2-http1,http2-down-1m,http2-up-1m,http2-down-1g,http2-up-1g,grpc-stream,held,http2-held,idle,http2-idle"
	if o.scenarios, err = choose("scenario", scenarios(), names, func(s *scenario) string { return s.name }); err != nil {
		t.Fatal(err)
	}
	b := newBench(t.Context(), s, o, t.Output())
	b.crowd, b.settle = 400, 500*time.Millisecond
	b.all(t.Context())
	for _, s := range b.report.Scenarios {
		for _, row := range s.Rows {
			if row.Failed != "" || len(row.Samples) != 1 {
				t.Errorf("%s, %s: %q, %d samples", s.Name, row.Contender, row.Failed, len(row.Samples))
				continue
			}
			switch got := row.Samples[0]; {
			case s.Kind == report.Memory && (got.PerConnection <= 0 || got.PerConnection > 1<<20):
				t.Errorf("%s, %s: %v bytes for each", s.Name, row.Contender, got.PerConnection)
			case s.Kind == report.Transfer && (got.Bytes < mib || got.CPUPerGiB <= 0), s.Kind == report.Requests && (got.Requests < 1 || got.CPU <= 0 || got.P50 <= 0):
				t.Errorf("%s, %s: %+v", s.Name, row.Contender, got)
			}
		}
	}
}

// An interrupted comparison ends the programs that it has started, and reports the interruption.
func TestInterrupted(t *testing.T) {
	installed(t, "nginx", "wrk")
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var out, progress bytes.Buffer
	stop := func(p []byte) (int, error) { cancel(); return progress.Write(p) }
	err := run(ctx, []string{"-scenarios", "conns-4", "-contenders", "nginx", "-rounds", "1000", "-duration", "1s"}, &out, writer(stop))
	if err == nil || !strings.HasPrefix(err.Error(), "interrupted") {
		t.Errorf("%v\n%s", err, progress.String())
	}
	if !strings.Contains(out.String(), "| conns-4 ") {
		t.Errorf("no table:\n%s", out.String())
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// The activator accepts its file, which has 1000 pods at different addresses.
func TestRevisions(t *testing.T) {
	for where, of := range map[spread]int{others: 1000, same: 1} {
		all, err := static.Parse("revisions.yaml", []byte(revisions(loopbacks(manyPods, "8012"), 100, 500, where)))
		if err != nil || len(all) != of {
			t.Fatalf("%d revisions, %v", len(all), err)
		}
		if r := all[0]; r.ID.Name != "bench" || r.ID.Namespace != "default" || r.Limit != 100 || r.MaxWaiting != 500 {
			t.Errorf("%+v", r)
		}
		addrs := map[string]bool{}
		for _, r := range all {
			for _, e := range r.Endpoints.Ready {
				addrs[e.Addr] = true
			}
		}
		if len(addrs) != 1000 {
			t.Errorf("%d addresses", len(addrs))
		}
	}
}

// What a contender costs is the sum of its processes, without those that only stand beside it.
func TestUsageOfSeveral(t *testing.T) {
	installed(t, "sleep")
	var all []*process.Process
	for range 3 {
		p, err := process.Start(process.Command{Name: "sleep", Path: "/bin/sleep", Args: []string{"1000"}, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Stop()
		all = append(all, p)
	}
	resident := func(s *stand) (n int64) {
		t.Helper()
		u, err := s.usage()
		if err != nil {
			t.Fatal(err)
		}
		return u.Resident
	}
	st := &stand{proxy: all[0], with: all[1:2], beside: all[2:]}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // until all have loaded their program
		if got := resident(st); got > 0 && got == resident(&stand{proxy: all[0]})+resident(&stand{proxy: all[1]}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the sum of two is not that of each")
		}
	}
	st.stop()
	for i, p := range all {
		if _, err := p.Usage(); err == nil {
			t.Errorf("process %d was not stopped", i)
		}
	}
}

// A contender that does not support a scenario is omitted from it, by name.
func TestOmissions(t *testing.T) {
	omitted := map[string]string{}
	for _, s := range scenarios() {
		for _, c := range contenders() {
			if why := c.omits(s); why != "" {
				omitted[s.name+" "+c.name] = why
			}
		}
	}
	const none, few = "it has no queue for requests beyond a limit", "of 64 clients it refuses some: 40 can wait at a limit of 4"
	want := map[string]string{
		"limit-4 nginx": none, "limit-4 reverseproxy": none, "limit-4 knative": few,
		"limit-4 nghttpx": none, "http2-http1 knative": "it forwards HTTP/2 to apps that support it only",
	}
	if fmt.Sprint(omitted) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", omitted, want)
	}
}

func TestBrowserHead(t *testing.T) {
	size := len("GET / HTTP/1.1\r\nHost: \r\n\r\n") + len(load.Host)
	for _, line := range browser {
		size += len(line) + 2
	}
	if len(browser)+1 != 14 || size > 1024 {
		t.Errorf("%d fields, %d bytes", len(browser)+1, size)
	}
}
