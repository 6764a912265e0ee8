// Package logpace limits how often a line is logged.
//
//	each event ──► Pace.Due ──► every ten seconds at most: true, and the number of events since the last true
//
// Clients that reach a port, and apps that fail, can cause the same event at any rate.
//
// # Concurrency
//
// A Pace is safe for concurrent use. Its method doesn't block.
package logpace

import (
	"sync"
	"time"
)

// Every is the shortest time from one line to the next.
const Every = 10 * time.Second

// Pace limits one line. With the zero value the first call of Due returns true.
type Pace struct {
	mu         sync.Mutex
	logged     time.Time
	suppressed int // since then
}

// Due reports whether the line may be logged now, and how many calls since the last line returned false.
func (p *Pace) Due() (others int, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.logged.IsZero() && now.Sub(p.logged) < Every {
		p.suppressed++
		return 0, false
	}
	others, p.logged, p.suppressed = p.suppressed, now, 0
	return others, true
}
