package proxy

import "sync/atomic"

// budget is a token bucket that requests fill and retries empty: one retry for retryPerSent requests, and a burst, so
// that the dials of a cold start aren't starved while upstreams that fail everything don't see their load trebled.
type budget struct {
	tokens atomic.Int64 // a retry costs retryPerSent
	limit  int64
}

func (b *budget) init(burst int) {
	b.limit = int64(max(burst, 0)) * retryPerSent
	b.tokens.Store(b.limit)
}

// deposit counts a request.
func (b *budget) deposit() {
	if b.tokens.Load() < b.limit { // a race overfills it by the number of processors at most
		b.tokens.Add(1)
	}
}

// withdraw pays for a retry, or says that there is nothing left.
func (b *budget) withdraw() bool {
	for {
		n := b.tokens.Load()
		if n < retryPerSent {
			return false
		}
		if b.tokens.CompareAndSwap(n, n-retryPerSent) {
			return true
		}
	}
}
