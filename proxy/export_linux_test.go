package proxy

// Pipes tells how many pipes are in use, and how many are kept unused.
func (h *Handler) Pipes() (used, unused int) {
	h.pipes.mu.Lock()
	defer h.pipes.mu.Unlock()
	return h.pipes.n, len(h.pipes.idle)
}
