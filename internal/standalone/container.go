package standalone

import (
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/podlog"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// container is a process of a pod, as the API shows it.
type container struct {
	process replica.Process
	init    bool
	log     podlog.Log
	state   objects.Container // the server's goroutine owns it
}

// containersOf returns the containers of a replica: those before the app, the app, its sidecars, the queue-proxy if it has one.
func containersOf(r *revision) []*container {
	t := &r.Template
	var all []*container
	add := func(c *manifest.Container, process replica.Process, init bool) {
		all = append(all, &container{process: process, init: init, state: objects.Container{Name: c.Name, Image: c.Image, Waiting: "ContainerCreating"}})
	}
	for i := range t.Init {
		add(&t.Init[i], initProcess(&t.Init[i]), true)
	}
	add(&t.Container, replica.App, false)
	for i := range t.Sidecars {
		add(&t.Sidecars[i], sidecarProcess(&t.Sidecars[i]), false)
	}
	if r.source == nil {
		add(&manifest.Container{Name: "queue-proxy", Image: objects.QueueProxyImage}, replica.QueueProxy, false)
	}
	return all
}

// container returns that of a process; nil: there is none.
func (p *pod) container(process replica.Process) *container {
	for _, c := range p.containers {
		if c.process == process {
			return c
		}
	}
	return nil
}

// follow updates the container's state by an event of its process.
func (c *container) follow(e replica.Event) {
	s := &c.state
	switch e.Kind {
	case replica.Started:
		s.Running, s.Started, s.Waiting, s.Message = true, e.Time, "", ""
	case replica.Completed:
		s.Running, s.Ended, s.ExitCode, s.EndedAt, s.EndReason, s.Ready = false, true, 0, e.Time, "Completed", true
	case replica.Exited, replica.Failed:
		s.Running, s.Ready, s.Ended, s.EndedAt = false, false, true, e.Time
		s.ExitCode, s.EndReason = exitCode(e), endReason(e)
		s.Message = e.Text
		if e.RestartIn > 0 {
			s.Restarts = int64(e.Restarts)
			s.Waiting = "CrashLoopBackOff"
		}
	case replica.Line, replica.Silent, replica.Strayed, replica.Listens, replica.Taken:
	}
}

// exitCode returns the code of an exit; that of a program which can't be started is a shell's.
func exitCode(e replica.Event) int64 {
	if e.Kind == replica.Failed {
		return 127
	}
	return int64(e.Code)
}

// endReason returns the reason of a container's end, in Kubernetes' words.
func endReason(e replica.Event) string {
	switch {
	case strings.HasPrefix(e.Status, replica.OOMKilled):
		return replica.OOMKilled
	case e.Kind == replica.Failed:
		return "StartError"
	case e.Code == 0:
		return "Completed"
	}
	return "Error"
}

// object returns the pod's state for the API.
func (p *pod) object() objects.Pod {
	o := objects.Pod{
		Name: p.name, UID: p.uid, Created: p.launched, Ending: p.endingSince, Ready: p.ready && !p.ending,
		App: int64(p.ports.app), Proxy: int64(p.ports.serve), Message: p.reason,
	}
	for _, c := range p.containers {
		state := c.state
		switch {
		case c.process == replica.QueueProxy:
			state.Ready = state.Running && p.ready // its readiness probe is that of the app, which in Knative's pods has none
		case !c.init:
			state.Ready = state.Running && p.gates[c.process] == ""
		}
		if c.init {
			o.Init = append(o.Init, state)
		} else {
			o.Containers = append(o.Containers, state)
		}
	}
	return o
}

// end marks p as ending.
func (p *pod) end() {
	p.ending, p.ready, p.endingSince = true, false, time.Now()
}
