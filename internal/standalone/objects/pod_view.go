package objects

import (
	"cmp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// podView makes the object of a pod.
type podView struct {
	*maker
	*Pod

	spec                map[string]any // its own
	node                string
	labels, annotations map[string]string
	owner               kubeapi.Object
	grace               int64

	init, containers []Container // with names
}

func (v *podView) make() {
	spec := v.spec
	spec["nodeName"] = v.node
	if spec["serviceAccountName"] == nil {
		spec["serviceAccountName"] = "default"
	}
	v.init, v.containers = named(v.Init, items(spec, "initContainers")), named(v.Containers, items(spec, "containers"))
	o := v.add(pods, metadata{
		name: v.Name, labels: v.labels, annotations: v.annotations, owner: v.owner, uid: v.UID, created: v.Created,
	}, map[string]any{"spec": spec})
	if !v.Ending.IsZero() {
		end := metav1.NewTime(v.Ending.Add(time.Duration(v.grace) * time.Second)) // when it would be killed, as in Kubernetes
		o.SetDeletionTimestamp(&end)
		o.SetDeletionGracePeriodSeconds(&v.grace)
	}
	ips := func() []any { return []any{map[string]any{"ip": address}} }
	status := map[string]any{
		"phase": v.phase(), "hostIP": address, "hostIPs": ips(), "podIP": address, "podIPs": ips(),
		"startTime": format(v.Created), "conditions": v.conditions(o.old, v.state()...), "containerStatuses": statuses(v.containers),
	}
	if len(v.init) > 0 {
		status["initContainerStatuses"] = statuses(v.init)
	}
	o.Object.Object["status"] = status
}

// phase is Running once all containers have been started.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
func (v *podView) phase() string {
	if len(v.containers) == 0 || which(v.init, (*Container).incomplete) != "" || which(v.containers, (*Container).unstarted) != "" {
		return "Pending"
	}
	return "Running"
}

// state returns the conditions.
func (v *podView) state() []condition {
	initialized, ready := condition{kind: "Initialized", status: True}, condition{kind: "Ready", status: True}
	if open := which(v.init, (*Container).incomplete); open != "" {
		initialized = condition{
			kind: initialized.kind, status: False,
			reason: "ContainersNotInitialized", message: "containers with incomplete status: [" + open + "]",
		}
	}
	if !v.Ready {
		unready := which(v.containers, func(c *Container) bool { return !c.Ready })
		ready = condition{
			kind: ready.kind, status: False, reason: cmp.Or(v.Reason, "ContainersNotReady"),
			message: cmp.Or(v.Message, "containers with unready status: ["+unready+"]"),
		}
	}
	containers := ready
	containers.kind = "ContainersReady"
	return []condition{
		containers, initialized, {kind: "PodReadyToStartContainers", status: True}, {kind: "PodScheduled", status: True}, ready,
	}
}

// named returns copies of containers with the names, and the kind, that they have in the pod's spec.
func named(list []Container, spec []map[string]any) []Container {
	all := append([]Container{}, list...)
	for i := range all {
		c := &all[i]
		for at, s := range spec {
			name, _ := s["name"].(string)
			if c.Name == "" && at == i || c.Name == name {
				c.Name, c.stays = name, s["restartPolicy"] == "Always"
			}
		}
	}
	return all
}

// which returns the names of those containers that f is true for.
func which(list []Container, f func(*Container) bool) string {
	var all []string
	for i := range list {
		if f(&list[i]) {
			all = append(all, list[i].Name)
		}
	}
	return strings.Join(all, " ")
}

func statuses(list []Container) []any {
	all := make([]any, len(list))
	for i := range list {
		all[i] = list[i].status()
	}
	return all
}
