package h2

// Error is why a connection can't go on: what the peer did, or that we have closed it.
type Error struct {
	Code   Code   // of the GOAWAY that is queued
	Reason string // sent as its debug data
}

func (e *Error) Error() string { return "HTTP/2: " + e.Reason + " (" + e.Code.String() + ")" }
