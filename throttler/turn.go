package throttler

// Turn is a request's turn among those with its key: see Demand.Turn. The zero value is ready for use. It must not be copied
// after its first use.
type Turn struct {
	r   *revision
	key *affinity
}

// End ends the request's turn, and begins that of the next request with its key. It is needed once after each request that
// was given a Turn, whatever became of it, and does nothing when that never got its turn. It never blocks. Until then the
// request may be tried again, and again has its turn.
func (t *Turn) End() {
	if t.r != nil {
		t.r.endTurn(t)
	}
}
