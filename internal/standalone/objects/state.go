package objects

// State of a revision or of a container.
type State string

// The states, of a condition's status.
const (
	True    State = "True"
	False   State = "False"
	Unknown State = "Unknown"
)
