package standalone

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
)

const (
	// probeAgent is the User-Agent of probes.
	probeAgent = knative.UserAgentKubelet + "sluice"
	// patience is how long a probe waits for an app to become ready before the screen shows that it isn't. The next probe
	// follows at once. The queue-proxy would hold a probe for 10 s.
	patience = 2 * time.Second
	// redial is the pause between dials while the queue-proxy doesn't listen: it starts within tens of milliseconds.
	redial = 10 * time.Millisecond
	// leastPeriod is the pause between probes with periodSeconds 0; startPeriod is the longest pause until the app is
	// ready.
	leastPeriod = time.Second
	startPeriod = 100 * time.Millisecond
)

// newKubelet returns the client for probes. Requests use other connections.
func newKubelet() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
}

// probe probes p's queue-proxy until ctx ends, and posts whether the app is ready.
func (s *Server) probe(ctx context.Context, r *revision, p *pod) {
	spec := r.Template.Container.Probe
	period, failures := max(spec.Period, leastPeriod), 0
	ready := false
	for ctx.Err() == nil {
		limit := patience
		if ready {
			limit = max(spec.Timeout, time.Second) + 100*time.Millisecond
		}
		began := time.Now()
		answered, ok, details := s.ask(ctx, p, limit, !ready)
		if ctx.Err() != nil {
			return
		}
		if failures++; ok {
			failures = 0
		}
		if ok || answered && !ready || failures == spec.Failure {
			ready = ok
			if !s.post(func() { s.setReady(r, p, ok, notReadyWhy(p, details)) }) {
				return
			}
		}
		pause := period
		switch {
		case !ready && !answered:
			pause = redial
		case !ready:
			pause = min(period, startPeriod) - time.Since(began) // no pause after a probe that was held
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// notReadyWhy returns the reason for the screen; details are the queue-proxy's, or "".
func notReadyWhy(p *pod, details string) string {
	if details == "" {
		return fmt.Sprintf("not ready: the readiness probe of the app on $PORT (%d) fails", p.ports.app)
	}
	// Without the duration, which would make each response another line of the screen.
	details, _, _ = strings.Cut(details, " yet, ")
	return "not ready: " + details
}

// ask makes one probe. It returns whether the queue-proxy responded, whether the app is ready and, with explain, the
// reason if it isn't: the queue-proxy then responds before limit.
func (s *Server) ask(ctx context.Context, p *pod, limit time.Duration, explain bool) (answered, ok bool, details string) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+hostPort(p.ports.serve)+knative.ProbePath, nil)
	if err != nil {
		return false, false, ""
	}
	req.Header.Set("User-Agent", probeAgent)
	req.Header.Set(knative.HeaderProbe, knative.ProbeQueue)
	if explain {
		req.Header.Set(knative.HeaderPatience, strconv.FormatInt(limit.Milliseconds(), 10))
	}
	resp, err := s.kubelet.Do(req)
	if err != nil {
		return ctx.Err() != nil, false, "" // a probe that is held beyond limit counts as a response
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	return true, resp.StatusCode == http.StatusOK, knative.ProxyDetails(resp.Header.Get("Proxy-Status"))
}

// scrape gets the statistics of p's queue-proxy each second until ctx ends, and posts them. Each replica has a ticker of
// its own: scraping all at the same moment would delay requests.
func (s *Server) scrape(ctx context.Context, p *pod) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		stat, err := s.scraper.Scrape(ctx, hostPort(p.ports.stats))
		if err != nil {
			continue // the autoscaler uses the average of the others
		}
		if !s.post(func() { p.report, p.load = report{stat, time.Now()}, stat.GetAverageConcurrentRequests() }) {
			return
		}
	}
}
