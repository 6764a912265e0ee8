package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// deployed has the revisions that a case has deployed, which are described if it fails.
type deployed struct {
	mu  sync.Mutex
	all []*revision
}

func (d *deployed) add(r *revision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, r)
}

// evidence describes the case's revisions: their scale, their pods, and the logs of the proxies and the autoscaler. For a part
// that can't be read it has the error.
func (d *deployed) evidence(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	for _, r := range d.all {
		fmt.Fprintf(&b, "-- %s/%s\n", r.namespace, r.name)
		r.describeScale(ctx, &b)
		r.describePods(ctx, &b)
		for _, component := range []string{"activator", "autoscaler"} {
			r.describeLogs(ctx, &b, component)
		}
	}
	return b.String()
}

// describeScale writes the scale that the autoscaler wants, and the endpoints of the Services.
func (r *revision) describeScale(ctx context.Context, b *strings.Builder) {
	for resource, group := range map[string]string{
		"podautoscalers": "autoscaling.internal.knative.dev", "serverlessservices": "networking.internal.knative.dev",
	} {
		gvr := schema.GroupVersionResource{Group: group, Version: "v1alpha1", Resource: resource}
		o, err := r.kube.dyn.Resource(gvr).Namespace(r.namespace).Get(ctx, r.name, metav1.GetOptions{})
		if err != nil {
			fmt.Fprintf(b, "%s: %v\n", resource, err)
			continue
		}
		spec, _ := json.Marshal(o.Object["spec"])
		status, _ := json.Marshal(o.Object["status"])
		fmt.Fprintf(b, "%s: spec %s, status %s\n", resource, spec, status)
	}
	for _, service := range []string{r.name, r.name + "-private"} {
		addresses, err := r.endpoints(ctx, service)
		fmt.Fprintf(b, "endpoints of %s: %v (%v)\n", service, addresses, err)
	}
}

func (r *revision) describePods(ctx context.Context, b *strings.Builder) {
	list, err := r.kube.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{LabelSelector: "serving.knative.dev/revision=" + r.name})
	if err != nil {
		fmt.Fprintln(b, "pods:", err)
		return
	}
	fmt.Fprintf(b, "%d pods\n", len(list.Items))
	for _, p := range list.Items {
		status, _ := json.Marshal(p.Status.Conditions)
		fmt.Fprintf(b, "%s: %s, address %q, ending %v, %s\n", p.Name, p.Status.Phase, p.Status.PodIP, p.DeletionTimestamp != nil, status)
		for _, c := range p.Status.ContainerStatuses {
			state, _ := json.Marshal(c.State)
			fmt.Fprintf(b, "  %s: ready %v, %d restarts, %s\n", c.Name, c.Ready, c.RestartCount, state)
		}
		r.kube.log(ctx, b, p, "queue-proxy", "")
	}
}

// describeLogs writes the lines about the revision in the log of a component of Knative.
func (r *revision) describeLogs(ctx context.Context, b *strings.Builder, component string) {
	pods, err := r.kube.pods(ctx, system, "app="+component)
	if err != nil {
		fmt.Fprintf(b, "pods of %s: %v\n", component, err)
	}
	for _, p := range pods {
		r.kube.log(ctx, b, p, component, r.name)
	}
}

// log writes the last lines of a container's log that contain a word.
func (k *kube) log(ctx context.Context, b *strings.Builder, p corev1.Pod, container, word string) {
	const lines = 40
	since := int64((caseLimit + time.Minute).Seconds())
	stream, err := k.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: container, SinceSeconds: &since}).Stream(ctx)
	if err != nil {
		fmt.Fprintf(b, "log of %s, %s: %v\n", p.Name, container, err)
		return
	}
	text, err := io.ReadAll(io.LimitReader(stream, 64<<20))
	_ = stream.Close()
	var found [][]byte
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte(word)) {
			found = append(found, line)
		}
	}
	fmt.Fprintf(b, "log of %s, %s, %d lines of it (%v):\n", p.Name, container, len(found), err)
	for _, line := range found[max(0, len(found)-lines):] {
		fmt.Fprintf(b, "  %s\n", bytes.TrimSpace(line))
	}
}
