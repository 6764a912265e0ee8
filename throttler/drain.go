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

// drainWindow is the time with a queue after which a measurement is closed.
const drainWindow = time.Second

// drain measures how fast a queue moves. Only time in which somebody waits counts, so that quiet hours don't look
// like a slow app. The last closed measurement and the running one are taken together.
type drain struct {
	mark time.Time     // up to here the running measurement has been counted
	busy time.Duration // of the running measurement
	n    int           // waiters served in it
	last struct {
		busy time.Duration
		n    int
	}
}

// begin says that a queue forms.
func (d *drain) begin(now time.Time) { d.mark = now }

// served says that n waiters have been given a slot.
func (d *drain) served(now time.Time, n int) {
	d.busy += now.Sub(d.mark)
	d.mark = now
	d.n += n
	if d.busy >= drainWindow {
		d.last.busy, d.last.n = d.busy, d.n
		d.busy, d.n = 0, 0
	}
}

// retryAfter says when a newcomer would be served if the queue went on moving as it did.
func (d *drain) retryAfter(now time.Time, waiting int) time.Duration {
	busy, n := d.busy+d.last.busy, d.n+d.last.n
	if waiting > 0 {
		busy += now.Sub(d.mark)
	}
	if n == 0 {
		return minRetryAfter * time.Second
	}
	seconds := math.Ceil(busy.Seconds() / float64(n) * float64(waiting+1))
	return time.Duration(min(max(seconds, minRetryAfter), maxRetryAfter)) * time.Second
}
