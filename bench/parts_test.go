package bench

import (
	"flag"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/throttler"
)

// BenchmarkPart measures each part of a request alone.
func BenchmarkPart(b *testing.B) {
	b.Run("part=breaker", func(b *testing.B) {
		br := throttler.NewBreaker(100, 1000)
		b.ReportAllocs()
		for b.Loop() {
			if !br.TryAcquire() {
				b.Fatal("no slot")
			}
			br.Release()
		}
	})
	for _, pods := range []int{1, 10_000} {
		b.Run("part=throttler/pods="+strconv.Itoa(pods), func(b *testing.B) { throttle(b, pods) })
	}
	b.Run("part=accounting/metrics=off", func(b *testing.B) {
		c := metrics.NewConcurrency(time.Now())
		b.ReportAllocs()
		for b.Loop() {
			c.Start(time.Now(), true)
			c.End(time.Now(), true)
		}
	})
	b.Run("part=accounting/metrics=on", func(b *testing.B) {
		c := metrics.NewConcurrency(time.Now())
		q, err := metrics.NewQueueCollectors(prometheus.NewRegistry(), metrics.QueueConfig{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			arrived := time.Now()
			c.Start(arrived, true)
			ended := time.Now()
			c.End(ended, true)
			q.ObserveApp(200, ended.Sub(arrived))
			q.Observe(200, "", ended.Sub(arrived))
		}
	})
	inside(b)
}

func throttle(b *testing.B, pods int) {
	t, err := throttler.New(throttler.Config{})
	if err != nil {
		b.Fatal(err)
	}
	id := throttler.RevisionID{Namespace: "default", Name: "bench"}
	all := make([]throttler.Backend, pods)
	for i := range all {
		all[i] = throttler.Backend{ID: strconv.Itoa(i), Addr: strconv.Itoa(i), Slots: 100, Own: true}
	}
	t.SetRevision(id, throttler.RevisionConfig{})
	t.SetBackends(id, all)
	b.ReportAllocs()
	for b.Loop() {
		l, ok, err := t.TryAcquire(throttler.Demand{Revision: id})
		if !ok || err != nil {
			b.Fatal(ok, err)
		}
		l.Release(throttler.OK)
	}
}

// result is a line of a benchmark's output.
var result = regexp.MustCompile(`(?m)^Benchmark(?:Part/)?(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// inside runs package proxy's benchmarks of its unexported parts, and reports their results.
func inside(b *testing.B) {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark(Part|Request)$", "-benchmem",
		"-benchtime", flag.Lookup("test.benchtime").Value.String(), module+"/proxy", module+"/proxy/internal/h1")
	out, err := cmd.CombinedOutput()
	lines := result.FindAllStringSubmatch(string(out), -1)
	if err != nil || len(lines) < 4 {
		b.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	for _, line := range lines {
		name, figures := strings.Replace(line[1], "Request/", "part=parse/head=", 1), strings.Fields(line[2])
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs() // otherwise the allocations are not printed
			for i := 0; i+1 < len(figures); i += 2 {
				v, err := strconv.ParseFloat(figures[i], 64)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(v, figures[i+1])
			}
		})
	}
}
