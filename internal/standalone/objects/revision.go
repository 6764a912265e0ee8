package objects

import "time"

// Revision is a revision's state.
type Revision struct {
	// Template is the object's spec.template when the revision was made, as decoded from JSON, with Knative's defaults.
	Template   map[string]any
	Name       string
	Generation int64 // of the Configuration when it was made
	Created    time.Time
	// Ready, Reason and Message: whether it can serve, or why it can't. Reasons are Knative's: those that begin with ExitCode,
	// OOMKilled and ContainerMissing are about its containers, all others, such as ProgressDeadlineExceeded, about what it needs.
	Ready           State
	Reason, Message string
	// Routed: traffic or a tag leads to it.
	Routed          bool
	Desired, Actual int64 // replicas: wanted, ready
	MinScale        int64
	MaxScale        int64 // 0: no limit
	Pods            []Pod
}
