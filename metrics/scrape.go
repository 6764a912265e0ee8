package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

const (
	// maxStatSize is how many bytes of a response the autoscaler's scraper
	// reads (contract, "Autoscaling stats").
	maxStatSize = 336
	// maxPodName is the longest name that Kubernetes gives to an object (RFC
	// 1123 subdomain). With it a Stat has at most 312 bytes: 3 + 253 for the
	// name, 9 for each of five doubles, 11 for the timestamp.
	maxPodName = 253
)

// ScrapeLabels name the pod in the text form.
type ScrapeLabels struct{ Namespace, Configuration, Revision, Pod string }

// Scrape answers the autoscaler's scraper with the newest Stat: in protobuf,
// or as Prometheus text when Accept names text and not application/protobuf.
// Before the first Set it answers 503.
//
// Set and ServeHTTP may be called concurrently; neither blocks on the other.
type Scrape struct {
	labels string // rendered and escaped
	newest atomic.Pointer[scraped]
}

type scraped struct{ wire, text []byte }

// NewScrape returns a handler without a Stat.
func NewScrape(l ScrapeLabels) *Scrape {
	return &Scrape{labels: `{destination_namespace="` + escapeLabel(l.Namespace) +
		`",destination_configuration="` + escapeLabel(l.Configuration) +
		`",destination_revision="` + escapeLabel(l.Revision) +
		`",destination_pod="` + escapeLabel(l.Pod) + `"} `}
}

// Set replaces the Stat that scrapes get. It keeps no reference to m. A pod
// name longer than Kubernetes allows is cut, so that the response stays within
// the 336 bytes that the scraper reads; bytes that are not UTF-8 are dropped, since proto3 has no
// way to carry them.
func (s *Scrape) Set(m *statpb.Stat) {
	if !utf8.ValidString(m.GetPodName()) || len(m.GetPodName()) > maxPodName {
		m = proto.CloneOf(m)
		m.PodName = strings.ToValidUTF8(m.PodName, "")
		if len(m.PodName) > maxPodName {
			m.PodName = strings.ToValidUTF8(m.PodName[:maxPodName], "")
		}
	}
	wire, err := proto.Marshal(m)
	if err != nil { // only invalid UTF-8 makes it fail
		panic("metrics: " + err.Error())
	}
	s.newest.Store(&scraped{wire: wire, text: s.text(m)})
}

// ServeHTTP writes the newest Stat.
func (s *Scrape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.newest.Load()
	if n == nil {
		http.Error(w, "nothing measured yet", http.StatusServiceUnavailable)
		return
	}
	body, kind := n.wire, "application/protobuf"
	if wantsText(r.Header.Values("Accept")) {
		body, kind = n.text, "text/plain; version=0.0.4; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the scraper will ask again
}

func wantsText(accept []string) bool {
	all := strings.ToLower(strings.Join(accept, ","))
	return !strings.Contains(all, "application/protobuf") &&
		(strings.Contains(all, "text/plain") || strings.Contains(all, "application/openmetrics-text"))
}

// text renders the classic gauges in the Prometheus text format 0.0.4.
func (s *Scrape) text(m *statpb.Stat) []byte {
	var b []byte
	for _, g := range []struct {
		name, help string
		value      float64
	}{
		{"queue_average_concurrent_requests", "Requests in flight, averaged over the last second", m.GetAverageConcurrentRequests()},
		{"queue_average_proxied_concurrent_requests", "Requests in flight that came through an activator, averaged over the last second", m.GetAverageProxiedConcurrentRequests()},
		{"queue_requests_per_second", "Requests that arrived, per second", m.GetRequestCount()},
		{"queue_proxied_operations_per_second", "Requests that arrived through an activator, per second", m.GetProxiedRequestCount()},
		{"process_uptime", "Seconds since the process started", m.GetProcessUptime()},
	} {
		b = append(b, "# HELP "+g.name+" "+g.help+"\n# TYPE "+g.name+" gauge\n"+g.name+s.labels...)
		b = strconv.AppendFloat(b, g.value, 'g', -1, 64)
		b = append(b, '\n')
	}
	return b
}

// escapeLabel escapes a label value for the text format 0.0.4.
func escapeLabel(v string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(v, "\uFFFD"))
}
