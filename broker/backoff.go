package broker

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// maxDelay bounds how long delays grow.
const maxDelay = time.Hour

// spread is the part of a delay by which it is longer at most, so that events that failed together don't come together again.
const spread = 0.1

// backoff returns how long the next attempt waits when so many have failed, the first one included.
//
// Knative's linear delays begin with 0 (knative.dev/eventing/pkg/kncloudevents/retries.go counts from 0); here they begin with Delay.
func (d *Delivery) backoff(failed int, retryAfter time.Duration) time.Duration {
	delay, most := d.Delay, max(d.Delay, maxDelay)
	switch d.Backoff {
	case Exponential:
		for range failed - 1 {
			if delay *= 2; delay >= most || delay == 0 {
				break
			}
		}
	case Linear:
		if delay > 0 && time.Duration(failed) > most/delay {
			delay = most
		} else {
			delay *= time.Duration(failed)
		}
	}
	delay = max(min(delay, most), min(retryAfter, d.RetryAfterMax))
	return delay + time.Duration(rand.Float64()*spread*float64(delay))
}

// retryAfter reads the field of that name (RFC 9110 §10.2.3).
func retryAfter(status int, header http.Header) time.Duration {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
