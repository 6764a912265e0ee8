package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// exposed is what Prometheus reads, one sample a key; histograms by bucket.
func exposed(t testing.TB, r *prometheus.Registry) map[string]string {
	t.Helper()
	s := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	defer s.Close()
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s %v", resp.StatusCode, body, err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSuffix(line, "\n")
		if i := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") {
			out[line[:i]] = line[i+1:]
		} else if strings.HasPrefix(line, "# TYPE ") {
			out[line[:i]] = line[i+1:]
		}
	}
	return out
}

func expect(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
}

func boundaries(got map[string]string, name string) (n int) {
	for k := range got {
		if strings.HasPrefix(k, name+"_bucket{") {
			n++
		}
	}
	return n
}

func TestProxyErrors(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	p, err := NewProxyErrors(r, "queue_full", "timeout_idle")
	if err != nil {
		t.Fatal(err)
	}
	p.Count("queue_full")
	p.Count("queue_full")
	for i := range 200 { // a mistake of the caller
		p.Count(fmt.Sprint("made-up-", i))
	}
	got := exposed(t, r)
	expect(t, got, map[string]string{
		"# TYPE sluice_proxy_errors_total":               "counter",
		`sluice_proxy_errors_total{reason="queue_full"}`: "2", `sluice_proxy_errors_total{reason="timeout_idle"}`: "0",
		`sluice_proxy_errors_total{reason="other"}`: fmt.Sprint(200 - (maxReasons - 2)),
	})
	if _, err := NewProxyErrors(r); err == nil {
		t.Error("registered twice")
	}
	if _, err := NewProxyErrors(prometheus.NewRegistry(), make([]string, maxReasons+1)...); err == nil {
		t.Error("too many reasons are accepted")
	}
}

func TestObservingDoesNotAllocate(t *testing.T) {
	q, _ := newQueue(t, queueConfig())
	c := queueConfig()
	c.Classic = true
	classic, _ := newQueue(t, c)
	a, err := NewActivatorCollectors(prometheus.NewRegistry(), ActivatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	v := a.Revision(RevisionLabels{"ns", "svc", "conf", "rev"})
	p, err := NewProxyErrors(prometheus.NewRegistry(), "queue_full")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"queue":     func() { q.Observe(200, "blue", time.Millisecond); q.ObserveApp(200, time.Millisecond) },
		"classic":   func() { classic.Observe(200, "blue", time.Millisecond); classic.ObserveApp(200, time.Millisecond) },
		"route tag": func() { q.Observe(200, q.RouteTag("blue", "false"), time.Millisecond) },
		"activator": func() {
			v.AddQueued(1)
			v.AddQueued(-1)
			v.AddActive(1)
			v.AddActive(-1)
			v.Observe(200, time.Millisecond)
		},
		"lookup": func() { a.Revision(RevisionLabels{"ns", "svc", "conf", "rev"}) },
		"errors": func() { p.Count("queue_full") },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, classic := range []bool{false, true} {
		c := queueConfig()
		c.Classic = classic
		name := map[bool]string{false: "current", true: "classic"}[classic]
		b.Run("queue/"+name, func(b *testing.B) {
			q, _ := newQueue(b, c)
			b.ReportAllocs()
			for b.Loop() {
				q.Observe(200, "blue", 3*time.Millisecond)
			}
		})
		b.Run("queue-parallel/"+name, func(b *testing.B) {
			q, _ := newQueue(b, c)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					q.Observe(200, "blue", 3*time.Millisecond)
				}
			})
		})
	}
	b.Run("app", func(b *testing.B) {
		q, _ := newQueue(b, queueConfig())
		b.ReportAllocs()
		for b.Loop() {
			q.ObserveApp(200, 3*time.Millisecond)
		}
	})
	b.Run("activator", func(b *testing.B) {
		a, err := NewActivatorCollectors(prometheus.NewRegistry(), ActivatorConfig{})
		if err != nil {
			b.Fatal(err)
		}
		v := a.Revision(RevisionLabels{"ns", "svc", "conf", "rev"})
		b.ReportAllocs()
		for b.Loop() {
			v.Observe(200, 3*time.Millisecond)
		}
	})
	b.Run("error", func(b *testing.B) {
		p, err := NewProxyErrors(prometheus.NewRegistry(), "queue_full")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			p.Count("queue_full")
		}
	})
}

// Everything that a queue-proxy measures of one request, the clock included.
func BenchmarkWholeRequest(b *testing.B) {
	for _, classic := range []bool{false, true} {
		c := queueConfig()
		c.Classic = classic
		q, _ := newQueue(b, c)
		conc := NewConcurrency(time.Now())
		b.Run(map[bool]string{false: "current", true: "classic"}[classic], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				arrived := time.Now()
				conc.Start(arrived, true)
				ended := time.Now()
				conc.End(ended, true)
				q.ObserveApp(200, ended.Sub(arrived))
				q.Observe(200, q.RouteTag("blue", "false"), ended.Sub(arrived))
			}
		})
	}
}

func TestRefused(t *testing.T) {
	r := prometheus.NewRegistry()
	c, err := NewRejectedConnections(r, Names([]time.Month{time.May, time.June})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{"May", "May", "may", "", "July"} {
		c.Count(reason)
	}
	expect(t, exposed(t, r), map[string]string{
		"# TYPE sluice_refused_connections_total":          "counter",
		`sluice_refused_connections_total{reason="May"}`:   "2",
		`sluice_refused_connections_total{reason="June"}`:  "",
		`sluice_refused_connections_total{reason="July"}`:  "",
		`sluice_refused_connections_total{reason="other"}`: "3",
	})
	if _, err := NewRejectedConnections(r); err == nil {
		t.Error("registered twice")
	}
}

func TestBudgets(t *testing.T) {
	r := prometheus.NewRegistry()
	used := int64(3)
	read := func() []Budget { return []Budget{{"connections", used, 10, 2}} }
	if err := NewBudgets(r, read); err != nil {
		t.Fatal(err)
	}
	used = 4
	expect(t, exposed(t, r), map[string]string{
		"# TYPE sluice_budget_used":                         "gauge",
		`sluice_budget_used{budget="connections"}`:          "4",
		`sluice_budget_limit{budget="connections"}`:         "10",
		"# TYPE sluice_budget_refused_total":                "counter",
		`sluice_budget_refused_total{budget="connections"}`: "2",
	})
	if err := NewBudgets(r, read); err == nil {
		t.Error("registered twice")
	}
}
