package throttler

import (
	"math"
	"time"
)

// Bounds of RetryAfter, in seconds. RFC 9110 §10.2.3 wants whole seconds; beyond a minute an estimate from the last
// few seconds means little.
const (
	minRetryAfter = 1
	maxRetryAfter = 60
)

// rateWindow is the time with a queue after which a measurement is closed.
const rateWindow = time.Second

// serviceRate measures how fast a queue moves. Only time in which a request waits counts, so that quiet hours don't look
// like a slow app. The last closed measurement and the running one are taken together.
type serviceRate struct {
	mark time.Time     // the running measurement has been counted up to here
	busy time.Duration // of the running measurement
	n    int           // requests served in it
	last struct {
		busy time.Duration
		n    int
	}
}

// begin is called when the first request is queued.
func (s *serviceRate) begin(now time.Time) { s.mark = now }

// served counts n requests that have been given a slot.
func (s *serviceRate) served(now time.Time, n int) {
	s.busy += now.Sub(s.mark)
	s.mark = now
	s.n += n
	if s.busy >= rateWindow {
		s.last.busy, s.last.n = s.busy, s.n
		s.busy, s.n = 0, 0
	}
}

// retryAfter estimates when a new request would be served if the queue moved on at this rate.
func (s *serviceRate) retryAfter(now time.Time, waiting int) time.Duration {
	busy, n := s.busy+s.last.busy, s.n+s.last.n
	if waiting > 0 {
		busy += now.Sub(s.mark)
	}
	if n == 0 {
		return minRetryAfter * time.Second
	}
	seconds := math.Ceil(busy.Seconds() / float64(n) * float64(waiting+1))
	return time.Duration(min(max(seconds, minRetryAfter), maxRetryAfter)) * time.Second
}
