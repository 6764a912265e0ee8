package throttler

// Entries counts what the throttler keeps of revisions, known or not.
func Entries(t *Throttler) int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.revisions)
}
