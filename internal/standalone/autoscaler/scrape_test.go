package autoscaler

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/metrics/statpb"
)

func serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestScrapeReadsWhatAQueueProxyServes(t *testing.T) {
	want := &statpb.Stat{PodName: "p", AverageConcurrentRequests: 2.5, AverageProxiedConcurrentRequests: 1, RequestCount: 7, ProxiedRequestCount: 3}
	handler := metrics.NewScrape(metrics.ScrapeLabels{Namespace: "n", Pod: "p"})
	handler.Set(want)
	s := NewScraper()
	defer s.Close()
	got, err := s.Scrape(t.Context(), serve(t, handler))
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestScrapeRefuses(t *testing.T) {
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			w.Write([]byte(body))
		}
	}
	s := NewScraper()
	defer s.Close()
	for name, h := range map[string]http.HandlerFunc{
		"status":   answer(503, "application/protobuf", ""),
		"type":     answer(200, "text/plain", ""),
		"too long": answer(200, "application/protobuf", strings.Repeat("x", 337)),
		"garbage":  answer(200, "application/protobuf", "\xff\xff\xff"),
	} {
		if stat, err := s.Scrape(t.Context(), serve(t, h)); err == nil {
			t.Errorf("%s: %v", name, stat)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Scrape(ctx, "127.0.0.1:1"); err == nil {
		t.Error("cancelled: no error")
	}
}

func TestScrapeTimesOut(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	s := NewScraper()
	defer s.Close()
	began := time.Now()
	if _, err := s.Scrape(t.Context(), addr); err == nil || time.Since(began) > 5*ScrapeTimeout {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestObserve(t *testing.T) {
	pod := func(c, proxied, n, np float64) *statpb.Stat {
		return &statpb.Stat{AverageConcurrentRequests: c, AverageProxiedConcurrentRequests: proxied, RequestCount: n, ProxiedRequestCount: np}
	}
	activator := &statpb.Stat{AverageConcurrentRequests: 5, RequestCount: 50}
	for _, c := range []struct {
		name  string
		pods  []*statpb.Stat
		ready int
		act   *statpb.Stat
		want  Sample
	}{
		{"nothing", nil, 0, nil, Sample{}},
		{"all through the activator", []*statpb.Stat{pod(3, 3, 30, 30), pod(2, 2, 20, 20)}, 2, activator, Sample{5, 50}},
		{"some beside it", []*statpb.Stat{pod(3, 1, 30, 10)}, 1, activator, Sample{7, 70}},
		{"one of two answered", []*statpb.Stat{pod(3, 1, 30, 10)}, 2, nil, Sample{4, 40}},
		{"rounding below zero", []*statpb.Stat{pod(1, 1.1, 1, 2)}, 1, nil, Sample{}},
	} {
		if got := Observe(c.pods, c.ready, c.act); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
