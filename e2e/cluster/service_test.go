package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

const appPort = 8080

// service describes a Knative Service of the suite's app. Zero values mean Knative's defaults, except that it starts without a
// pod.
type service struct {
	name        string
	pods        int // initial and minimum scale
	annotations map[string]string
	concurrency int64 // 0: no limit
	timeout     time.Duration
	start, idle time.Duration // response start and idle timeouts
	port        string        // the port's name: "h2c" for HTTP/2
	env         map[string]string
	readiness   *corev1.Probe
	startup     *corev1.Probe
	beside      []corev1.Container
}

// revision is the first and only revision of a service.
type revision struct {
	kube      *kube
	namespace string
	name      string
	address   string // the public Service's
}

// deploy makes a Service in the world's namespace and waits until its revision is ready or, if it has no pods, exists.
func (w *world) deploy(ctx context.Context, s service) (*revision, error) {
	return w.deployIn(ctx, w.namespace, s)
}

func (w *world) deployIn(ctx context.Context, namespace string, s service) (*revision, error) {
	object, err := s.object(namespace, options.app)
	if err != nil {
		return nil, err
	}
	err = eventually(ctx, 20*time.Second, "Service "+s.name+" made", func() error {
		_, err := w.dyn.Resource(ksvcs).Namespace(namespace).Create(ctx, object, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	r := &revision{kube: w.kube, namespace: namespace, name: s.name + "-00001"}
	w.deployed.add(r)
	err = eventually(ctx, 90*time.Second, "revision "+r.name+" ready", func() error { return r.check(ctx, s.pods) })
	return r, err
}

// check returns an error while the revision can't get requests yet, and finds the address of its public Service.
func (r *revision) check(ctx context.Context, pods int) error {
	object, err := r.kube.dyn.Resource(revisions).Namespace(r.namespace).Get(ctx, r.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := ready(object); err != nil {
		return err
	}
	public, err := r.kube.CoreV1().Services(r.namespace).Get(ctx, r.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	// The control plane uses port 80 for HTTP/1.1 and 81 for h2c.
	r.address = net.JoinHostPort(public.Spec.ClusterIP, strconv.Itoa(int(public.Spec.Ports[0].Port)))
	endpoints, err := r.endpoints(ctx, r.name)
	if err != nil {
		return err
	}
	if len(endpoints) == 0 {
		return errors.New("its public Service has no endpoints")
	}
	// kube-proxy follows the endpoints a little later.
	c, err := net.DialTimeout("tcp", r.address, time.Second)
	if err != nil {
		return err
	}
	_ = c.Close()
	if pods == 0 {
		return nil
	}
	private, err := r.endpoints(ctx, r.name+"-private")
	if len(private) < pods {
		return fmt.Errorf("%d of %d pods ready (%w)", len(private), pods, err)
	}
	return nil
}

func ready(object *unstructured.Unstructured) error {
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return err
	}
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if c["type"] == "Ready" && c["status"] == "True" {
			return nil
		}
	}
	return fmt.Errorf("conditions: %v", conditions)
}

// endpoints lists the addresses in the Endpoints of a Service, which Knative writes rather than EndpointSlices.
func (r *revision) endpoints(ctx context.Context, service string) ([]string, error) {
	e, err := r.kube.CoreV1().Endpoints(r.namespace).Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, s := range e.Subsets {
		for _, a := range s.Addresses {
			all = append(all, a.IP)
		}
	}
	return all, nil
}

func (r *revision) pods(ctx context.Context) ([]corev1.Pod, error) {
	return r.kube.pods(ctx, r.namespace, "serving.knative.dev/revision="+r.name)
}

// scaledTo waits until the revision has n pods.
func (r *revision) scaledTo(ctx context.Context, n int, limit time.Duration) error {
	return eventually(ctx, limit, fmt.Sprintf("%s scaled to %d", r.name, n), func() error {
		pods, err := r.pods(ctx)
		if err == nil && len(pods) != n {
			err = fmt.Errorf("%d pods", len(pods))
		}
		return err
	})
}

// annotate changes annotations of the revision for its autoscaler.
func (r *revision) annotate(ctx context.Context, annotations map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	_, err = r.kube.dyn.Resource(revisions).Namespace(r.namespace).Patch(ctx, r.name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

func (s service) object(namespace, image string) (*unstructured.Unstructured, error) {
	const autoscaling = "autoscaling.knative.dev/"
	annotations := map[string]string{
		autoscaling + "window":        "6s",
		autoscaling + "initial-scale": strconv.Itoa(s.pods),
		autoscaling + "min-scale":     strconv.Itoa(s.pods),
		autoscaling + "max-scale":     strconv.Itoa(max(s.pods, 3)),
	}
	for k, v := range s.annotations {
		annotations[autoscaling+k] = v
	}
	first := corev1.Container{
		Name: "app", Image: image, ReadinessProbe: s.readiness, StartupProbe: s.startup,
		Ports: []corev1.ContainerPort{{Name: s.port, ContainerPort: appPort}},
	}
	for k, v := range s.env {
		first.Env = append(first.Env, corev1.EnvVar{Name: k, Value: v})
	}
	spec := map[string]any{
		"containers":           append([]corev1.Container{first}, s.beside...),
		"containerConcurrency": s.concurrency,
	}
	maps.Copy(spec, s.timeouts())
	text, err := json.Marshal(map[string]any{
		"apiVersion": "serving.knative.dev/v1", "kind": "Service",
		"metadata": map[string]any{"name": s.name, "namespace": namespace},
		"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"annotations": annotations},
			"spec":     spec,
		}},
	})
	if err != nil {
		return nil, err
	}
	object := new(unstructured.Unstructured)
	return object, object.UnmarshalJSON(text)
}

func (s service) timeouts() map[string]any {
	spec := map[string]any{}
	for name, d := range map[string]time.Duration{
		"timeoutSeconds": s.timeout, "responseStartTimeoutSeconds": s.start, "idleTimeoutSeconds": s.idle,
	} {
		if d > 0 {
			spec[name] = int(d.Seconds())
		}
	}
	return spec
}

// stats are the counters of one pod's app.
type stats struct {
	InFlight, Max, Total int
	Events               []string
}

// direct sends a request to a pod's app without proxies.
func direct(ctx context.Context, pod corev1.Pod, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d%s", pod.Status.PodIP, appPort, path), nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

func statsOf(ctx context.Context, pod corev1.Pod) (s stats, err error) {
	resp, err := direct(ctx, pod, "/stats")
	if err != nil {
		return s, err
	}
	defer func() { _ = resp.Body.Close() }()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}
