package objects

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// podColumns are those of kubectl get pods.
func podColumns() []kubeapi.Column {
	return []kubeapi.Column{
		nameColumn(),
		text("Ready", func(o kubeapi.Object) string {
			s := summarize(o)
			return fmt.Sprintf("%d/%d", s.ready, s.containers)
		}),
		text("Status", func(o kubeapi.Object) string { return summarize(o).reason }),
		text("Restarts", func(o kubeapi.Object) string {
			s := summarize(o)
			if s.restarts == 0 || s.restarted.IsZero() {
				return strconv.FormatInt(s.restarts, 10)
			}
			return fmt.Sprintf("%d (%s ago)", s.restarts, ago(s.restarted))
		}),
		ageColumn(),
		wide(text("IP", func(o kubeapi.Object) string { return cmp.Or(stringAt(o.Object, "status", "podIP"), none) })),
		wide(text("Node", func(o kubeapi.Object) string { return cmp.Or(stringAt(o.Object, "spec", "nodeName"), none) })),
		wide(text("Nominated Node", func(kubeapi.Object) string { return none })),
		wide(text("Readiness Gates", func(kubeapi.Object) string { return none })),
	}
}

// podSummary is what kubectl shows of a pod's containers.
type podSummary struct {
	reason            string
	ready, containers int64
	restarts          int64
	restarted         time.Time // the latest restart
}

// summarize describes a pod by the same rules as kubectl: while it initializes, by its first init container that isn't
// through; then by its containers; at its end it is Terminating.
func summarize(o kubeapi.Object) podSummary {
	s := podSummary{
		reason:     cmp.Or(stringAt(o.Object, "status", "reason"), stringAt(o.Object, "status", "phase")),
		containers: int64(len(items(o.Object, "spec", "containers"))),
	}
	stays := map[string]bool{} // of the init containers: whether it runs beside the others
	for _, c := range items(o.Object, "spec", "initContainers") {
		stays[stringAt(c, "name")] = c["restartPolicy"] == "Always"
		if c["restartPolicy"] == "Always" {
			s.containers++
		}
	}
	stayed, initializing := s.initialize(items(o.Object, "status", "initContainerStatuses"), stays)
	if is := func(kind string) bool { return ConditionOf(o, kind)["status"] == string(True) }; !initializing || is("Initialized") {
		s.restarts, s.restarted = stayed.restarts, stayed.restarted
		s.run(items(o.Object, "status", "containerStatuses"), is("Ready"))
	}
	if o.GetDeletionTimestamp() != nil {
		s.reason = "Terminating"
	}
	return s
}

// initialize looks at the init containers. It returns the restarts of those that stay, and whether one isn't through.
func (s *podSummary) initialize(list []map[string]any, stays map[string]bool) (stayed podSummary, initializing bool) {
	for i, c := range list {
		s.restart(c)
		if stays[stringAt(c, "name")] {
			stayed.restart(c)
		}
		end, has := terminated(c)
		waiting := stringAt(c, "state", "waiting", "reason")
		switch {
		case has && int64At(end, "exitCode") == 0:
			continue
		case stays[stringAt(c, "name")] && c["started"] == true:
			if c["ready"] == true {
				s.ready++
			}
			continue
		case has:
			s.reason = "Init:" + endReason(end)
		case waiting != "" && waiting != "PodInitializing":
			s.reason = "Init:" + waiting
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(stays))
		}
		return stayed, true
	}
	return stayed, false
}

// run looks at the containers. The first one whose state needs a word has the say.
func (s *podSummary) run(list []map[string]any, ready bool) {
	var running bool
	var failed, reason string
	for _, c := range list {
		s.restart(c)
		end, has := terminated(c)
		switch waiting := stringAt(c, "state", "waiting", "reason"); {
		case waiting != "":
			reason = cmp.Or(reason, waiting)
		case has:
			reason = cmp.Or(reason, endReason(end))
			if int64At(end, "exitCode") != 0 {
				failed = cmp.Or(failed, endReason(end))
			}
		case c["ready"] == true:
			running = true
			s.ready++
		}
	}
	if s.reason = cmp.Or(reason, s.reason); s.reason != "Completed" {
		return
	}
	switch {
	case running && ready:
		s.reason = "Running"
	case failed != "":
		s.reason = failed
	case running:
		s.reason = "NotReady"
	}
}

// restart counts the restarts of a container.
func (s *podSummary) restart(c map[string]any) {
	s.restarts += int64At(c, "restartCount")
	if at := timeAt(c, "lastState", "terminated", "finishedAt"); at.After(s.restarted) {
		s.restarted = at
	}
}

func endReason(terminated map[string]any) string {
	return cmp.Or(stringAt(terminated, "reason"), fmt.Sprintf("ExitCode:%d", int64At(terminated, "exitCode")))
}

// terminated returns the end of a container's state.
func terminated(c map[string]any) (map[string]any, bool) {
	state, _ := c["state"].(map[string]any)
	end, ok := state["terminated"].(map[string]any)
	return end, ok
}
