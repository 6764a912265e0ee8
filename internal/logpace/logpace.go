// Package logpace keeps a line of a log from being written too often.
//
//	each time ──► Pace.Due ──► now and then: true, and how many times it was false
//
// Whoever can reach a port, or has an app that fails, can make the same thing happen as often as they like. It is counted
// each time, and said every ten seconds at most.
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

// Pace is that of one line. Its zero value says yes the first time.
type Pace struct {
	mu     sync.Mutex
	told   time.Time
	unsaid int // since then
}

// Due reports that it is time for a line, and how many times it was not since the one before.
func (p *Pace) Due() (others int, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.told.IsZero() && now.Sub(p.told) < Every {
		p.unsaid++
		return 0, false
	}
	others, p.told, p.unsaid = p.unsaid, now, 0
	return others, true
}
