package objects

// EventKind is an event's type.
type EventKind string

// The types of events.
const (
	Normal  EventKind = "Normal"
	Warning EventKind = "Warning"
)
