package proxy

// Idle is how many connections have answered their requests, to the end of what the engine does for them.
func (e *Engine) Idle() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.clients {
		if p := c.phase.Load(); p == clientIdle || p == clientParked {
			n++
		}
	}
	for c := range e.handed {
		if c.idle.Load() > 0 {
			n++
		}
	}
	for c := range e.streams {
		if c.idle.Load() > 0 {
			n++
		}
	}
	return n
}
