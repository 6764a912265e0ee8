package objects

import (
	"cmp"
	"time"
)

// Container is a process's state.
type Container struct {
	Name, Image string // Name "": that of the template's container with the same index
	Running     bool
	Started     time.Time // the latest start
	Ready       bool
	Restarts    int64
	Waiting     string // a reason such as ContainerCreating or CrashLoopBackOff; "" when it runs or has ended
	Message     string // why it waits, or why it ended
	Ended       bool   // for good (an init container) or the last time before Waiting
	ExitCode    int64
	EndedAt     time.Time
	EndReason   string // such as Completed, Error, OOMKilled

	stays bool // an init container that runs beside the others
}

// incomplete reports whether an init container keeps the next one from being started.
func (c *Container) incomplete() bool {
	if c.stays {
		return c.unstarted()
	}
	return c.Running || c.Waiting != "" || !c.Ended || c.ExitCode != 0
}

// unstarted reports whether it has never run.
func (c *Container) unstarted() bool { return !c.Running && !c.Ended }

// status returns the ContainerStatus.
func (c *Container) status() map[string]any {
	state, last := map[string]any{}, map[string]any{}
	switch {
	case c.Running:
		running := map[string]any{}
		setTime(running, "startedAt", c.Started)
		state["running"] = running
	case c.Waiting != "" || !c.Ended:
		waiting := map[string]any{"reason": cmp.Or(c.Waiting, "ContainerCreating")}
		setNonzero(waiting, "message", c.Message)
		state["waiting"] = waiting
	default:
		state["terminated"] = c.terminated()
	}
	if c.Ended && state["terminated"] == nil {
		last["terminated"] = c.terminated()
	}
	return map[string]any{
		"name": c.Name, "image": c.Image, "imageID": c.Image, "ready": c.Ready, "started": c.Running, "restartCount": c.Restarts,
		"state": state, "lastState": last,
	}
}

// terminated returns the ContainerStateTerminated.
func (c *Container) terminated() map[string]any {
	reason := "Completed"
	if c.ExitCode != 0 {
		reason = "Error"
	}
	t := map[string]any{"exitCode": c.ExitCode, "reason": cmp.Or(c.EndReason, reason)}
	setNonzero(t, "message", c.Message)
	if !c.Running { // else it is the start of another run
		setTime(t, "startedAt", c.Started)
	}
	setTime(t, "finishedAt", c.EndedAt)
	return t
}

// setTime sets a field unless t is zero.
func setTime(o map[string]any, field string, t time.Time) {
	if !t.IsZero() {
		o[field] = format(t)
	}
}
