package metrics

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// Concurrency measures how many requests are in flight, weighted by time, and
// how many arrive. It serves one pod or one revision.
//
// Methods may be called concurrently. They block on a mutex that is held for
// nanoseconds, and never allocate.
//
// Callers read the clock before they get the lock, so times may come slightly
// out of order. One before the latest so far counts as the latest.
type Concurrency struct {
	mu       sync.Mutex
	start    time.Time // of the current period
	last     time.Time // the areas below are summed up to here
	all      weighted
	proxied  weighted
	inFlight int
	viaProxy int
}

// weighted is the part of a period that is already summed.
type weighted struct {
	area     float64 // requests × nanoseconds
	requests float64
}

// NewConcurrency starts the first period at now.
func NewConcurrency(now time.Time) *Concurrency {
	return &Concurrency{start: now, last: now}
}

// Start counts a request that arrives at now. Proxied says that it came
// through an activator; the End of the same request must say the same.
func (c *Concurrency) Start(now time.Time, proxied bool) {
	c.mu.Lock()
	c.advanceLocked(now)
	c.inFlight++
	c.all.requests++
	if proxied {
		c.viaProxy++
		c.proxied.requests++
	}
	c.mu.Unlock()
}

// End counts the departure of a request at now. An End without a Start is
// ignored, so that a mistake of one caller can't turn the average negative.
func (c *Concurrency) End(now time.Time, proxied bool) {
	c.mu.Lock()
	c.advanceLocked(now)
	c.inFlight = max(c.inFlight-1, 0)
	if proxied {
		c.viaProxy = max(c.viaProxy-1, 0)
	}
	c.mu.Unlock()
}

// InFlight is the number of requests that have started and not ended.
func (c *Concurrency) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlight
}

// Report ends the current period at now, returns what it measured and starts
// the next one. In a period without duration the averages are the requests in
// flight at that instant. A clock that went back starts the next period at the
// earlier instant.
func (c *Concurrency) Report(now time.Time) Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advanceLocked(now)
	elapsed := c.last.Sub(c.start)
	r := Report{
		Concurrency:        c.all.average(elapsed, c.inFlight),
		ProxiedConcurrency: c.proxied.average(elapsed, c.viaProxy),
		Requests:           c.all.requests,
		ProxiedRequests:    c.proxied.requests,
		Elapsed:            elapsed,
	}
	c.all, c.proxied = weighted{}, weighted{}
	c.start, c.last = now, now
	return r
}

// untouched says that nothing is in flight and nothing has been counted since the last Report.
func (c *Concurrency) untouched() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlight == 0 && c.all.requests == 0 && c.all.area == 0
}

// advanceLocked adds what has been in flight up to now.
func (c *Concurrency) advanceLocked(now time.Time) {
	d := now.Sub(c.last)
	if d <= 0 {
		return
	}
	c.all.area += float64(d) * float64(c.inFlight)
	c.proxied.area += float64(d) * float64(c.viaProxy)
	c.last = now
}

func (w *weighted) average(elapsed time.Duration, inFlight int) float64 {
	if elapsed <= 0 {
		return float64(inFlight)
	}
	return w.area / float64(elapsed)
}

// Report is what one period measured. The counts are requests that arrived
// within the period, not rates.
type Report struct {
	Concurrency, ProxiedConcurrency float64
	Requests, ProxiedRequests       float64
	Elapsed                         time.Duration // never negative
}

// rates returns the report with its counts turned into requests per second.
// Without a duration there is no rate, and the counts stay as they are.
func (r Report) rates() Report {
	if s := r.Elapsed.Seconds(); s > 0 {
		r.Requests /= s
		r.ProxiedRequests /= s
	}
	return r
}

// Stat is the message that a pod reports: averages, and counts per second.
func (r Report) Stat(pod string, uptime time.Duration, now time.Time) *statpb.Stat {
	r = r.rates()
	return &statpb.Stat{
		PodName:                          pod,
		AverageConcurrentRequests:        r.Concurrency,
		AverageProxiedConcurrentRequests: r.ProxiedConcurrency,
		RequestCount:                     r.Requests,
		ProxiedRequestCount:              r.ProxiedRequests,
		ProcessUptime:                    uptime.Seconds(),
		Timestamp:                        now.Unix(),
	}
}

// idle says that nothing was in flight at any time of the period.
func (r Report) idle() bool { return r.Requests == 0 && r.Concurrency == 0 }
