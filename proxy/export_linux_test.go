package proxy

// Pipes tells how many pipes are in use, and how many are kept unused.
func (h *Handler) Pipes() (used, unused int) { return h.pipes.Count() }
