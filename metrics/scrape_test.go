package metrics

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

func scrape(t *testing.T, s *httptest.Server, accept string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestScrapeAnswersWhatAcceptNames(t *testing.T) {
	h := NewScrape(ScrapeLabels{"ns", "config", "rev", "pod"})
	s := httptest.NewServer(h)
	defer s.Close()
	if resp, _ := scrape(t, s, "application/protobuf"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d before the first Set", resp.StatusCode)
	}
	want := Report{Concurrency: 1.5, Requests: 3, Elapsed: time.Second}.Stat("pod", time.Minute, epoch())
	h.Set(want)
	for accept, text := range map[string]bool{
		"":                                      false,
		"*/*":                                   false,
		"application/protobuf":                  false,
		"application/json":                      false,
		"text/plain;q=0.5,application/protobuf": false,
		"text/plain":                            true,
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": true,
		"Application/OpenMetrics-Text": true,
	} {
		resp, body := scrape(t, s, accept)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%q: status %d", accept, resp.StatusCode)
		}
		kind := resp.Header["Content-Type"]
		if text {
			if len(kind) != 1 || !strings.HasPrefix(kind[0], "text/plain; version=0.0.4") {
				t.Errorf("%q: Content-Type %q", accept, kind)
			}
			continue
		}
		if len(kind) != 1 || kind[0] != "application/protobuf" {
			t.Errorf("%q: Content-Type %q", accept, kind)
		}
		var got statpb.Stat
		if err := proto.Unmarshal(body, &got); err != nil || !proto.Equal(&got, want) {
			t.Errorf("%q: got %v (%v), want %v", accept, &got, err, want)
		}
	}
}

func TestScrapeClassicText(t *testing.T) {
	h := NewScrape(ScrapeLabels{"ns", `back\slash`, "new\nline", `quo"te`})
	h.Set(&statpb.Stat{
		AverageConcurrentRequests: 2.5, AverageProxiedConcurrentRequests: 0.25,
		RequestCount: 12, ProxiedRequestCount: 1e21, ProcessUptime: 0,
	})
	s := httptest.NewServer(h)
	defer s.Close()
	_, body := scrape(t, s, "text/plain")
	labels := `{destination_namespace="ns",destination_configuration="back\\slash",destination_revision="new\nline",destination_pod="quo\"te"} `
	for _, line := range []string{
		"queue_average_concurrent_requests" + labels + "2.5",
		"queue_average_proxied_concurrent_requests" + labels + "0.25",
		"queue_requests_per_second" + labels + "12",
		"queue_proxied_operations_per_second" + labels + "1e+21",
		"process_uptime" + labels + "0",
	} {
		name, _, _ := strings.Cut(line, "{")
		if !strings.Contains(string(body), "# TYPE "+name+" gauge\n"+line+"\n") {
			t.Errorf("no %q in\n%s", line, body)
		}
	}
}

func TestScrapeStaysWithinTheScrapersLimit(t *testing.T) {
	most := &statpb.Stat{
		AverageConcurrentRequests: math.MaxFloat64, AverageProxiedConcurrentRequests: math.MaxFloat64,
		RequestCount: math.MaxFloat64, ProxiedRequestCount: math.MaxFloat64,
		ProcessUptime: math.MaxFloat64, Timestamp: -1, // the longest varint
	}
	h := NewScrape(ScrapeLabels{})
	s := httptest.NewServer(h)
	defer s.Close()
	for name, pod := range map[string]struct{ in, out string }{
		"longest name":      {strings.Repeat("p", 253), strings.Repeat("p", 253)},
		"beyond it":         {strings.Repeat("p", 5000), strings.Repeat("p", 253)},
		"cut within a rune": {strings.Repeat("é", 200), strings.Repeat("é", 126)},
		"not UTF-8":         {"pod\xff-1", "pod-1"},
	} {
		m := proto.CloneOf(most)
		m.PodName = pod.in
		h.Set(m)
		_, body := scrape(t, s, "application/protobuf")
		var got statpb.Stat
		if err := proto.Unmarshal(body, &got); err != nil || got.GetPodName() != pod.out || !utf8.ValidString(got.GetPodName()) {
			t.Errorf("%s: pod %q (%v)", name, got.GetPodName(), err)
		}
		if len(body) > maxStatSize {
			t.Errorf("%s: %d bytes", name, len(body))
		}
		if m.PodName != pod.in {
			t.Errorf("%s: the caller's message was changed", name)
		}
	}
}

func TestScrapeUnderRace(t *testing.T) {
	h := NewScrape(ScrapeLabels{})
	h.Set(&statpb.Stat{RequestCount: 1, ProxiedRequestCount: 1})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 2000 {
			h.Set(&statpb.Stat{RequestCount: float64(i), ProxiedRequestCount: float64(i)})
		}
	})
	wg.Go(func() {
		for range 2000 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			var got statpb.Stat
			if err := proto.Unmarshal(w.Body.Bytes(), &got); err != nil || got.RequestCount != got.ProxiedRequestCount {
				t.Errorf("torn: %v, %v", &got, err)
			}
		}
	})
	wg.Wait()
}
