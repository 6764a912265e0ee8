package autoscaler

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

const (
	// ScrapeTimeout bounds one scrape.
	ScrapeTimeout = 900 * time.Millisecond
	// maxStat is how many bytes Knative's scraper reads at most.
	maxStat = 336
)

// Scraper reads the Stat of queue-proxies.
type Scraper struct{ client *http.Client }

// NewScraper returns a Scraper; Close closes its idle connections.
func NewScraper() *Scraper {
	return &Scraper{&http.Client{Timeout: ScrapeTimeout, Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: ScrapeTimeout}).DialContext,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     10 * time.Second,
		DisableCompression:  true,
	}}}
}

// Close closes idle connections.
func (s *Scraper) Close() { s.client.CloseIdleConnections() }

// Scrape reads the Stat of the queue-proxy whose stats port is addr (host:port). It blocks until the response,
// ScrapeTimeout, or the end of ctx.
func (s *Scraper) Scrape(ctx context.Context, addr string) (*statpb.Stat, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/protobuf")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/protobuf" {
		return nil, fmt.Errorf("scrape of %s: %s, %q", addr, resp.Status, resp.Header.Get("Content-Type"))
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxStat+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxStat {
		return nil, fmt.Errorf("scrape of %s: more than %d bytes", addr, maxStat)
	}
	stat := new(statpb.Stat)
	if err := proto.Unmarshal(data, stat); err != nil {
		return nil, fmt.Errorf("scrape of %s: %w", addr, err)
	}
	return stat, nil
}

// Observe makes a sample of the ready replicas' reports and of the activator's own (nil: none). Requests through the
// activator are in its report, so they are subtracted from the replicas'. Replicas without a report count as the average
// of the others.
func Observe(replicas []*statpb.Stat, ready int, activator *statpb.Stat) Sample {
	var s Sample
	for _, r := range replicas {
		s.Concurrency += max(r.GetAverageConcurrentRequests()-r.GetAverageProxiedConcurrentRequests(), 0)
		s.RPS += max(r.GetRequestCount()-r.GetProxiedRequestCount(), 0)
	}
	if n := len(replicas); n > 0 && ready > n {
		s.Concurrency *= float64(ready) / float64(n)
		s.RPS *= float64(ready) / float64(n)
	}
	s.Concurrency += activator.GetAverageConcurrentRequests()
	s.RPS += activator.GetRequestCount()
	return s
}
