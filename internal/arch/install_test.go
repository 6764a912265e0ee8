package arch

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// decode reads a YAML file of this repository into a Kubernetes object.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal([]byte(text(t, path)), &tree); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if err := json.Unmarshal(marshal(t, tree), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// patched applies the patch of a file to object as kubectl patch and kustomize do.
func patched[T any](t *testing.T, object T, path string) (result T) {
	t.Helper()
	var patch, tree any
	decode(t, path, &patch)
	if err := json.Unmarshal(marshal(t, object), &tree); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(marshal(t, merge(tree, patch)), &result); err != nil {
		t.Fatal(err)
	}
	return result
}

// merge is a strategic merge for the kinds that are patched here: it merges lists of containers and of variables by name
// (https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/).
func merge(old, patch any) any {
	switch patch := patch.(type) {
	case map[string]any:
		merged := map[string]any{}
		if old, ok := old.(map[string]any); ok {
			merged = old
		}
		for key, value := range patch {
			if value == nil {
				delete(merged, key)
			} else {
				merged[key] = merge(merged[key], value)
			}
		}
		return merged
	case []any:
		merged, _ := old.([]any)
		for _, item := range patch {
			name := item.(map[string]any)["name"]
			i := slices.IndexFunc(merged, func(o any) bool { return o.(map[string]any)["name"] == name })
			if i < 0 {
				merged = append(merged, item)
			} else {
				merged[i] = merge(merged[i], item)
			}
		}
		return merged
	}
	return patch
}

// knatives are the objects of Knative's own manifest that are changed (knative.dev/serving v0.51, config/core).
func knatives() (appsv1.Deployment, corev1.ConfigMap) {
	here := metav1.ObjectMeta{Namespace: "knative-serving"}
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	get := func() corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(8012)}}
	}
	d := appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: here}
	d.Name = "activator"
	d.Spec.Template.Spec.Containers = []corev1.Container{{
		Name: "activator", Image: "gcr.io/knative-releases/activator:v1.24.0",
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": resource.MustParse("300m"), "memory": resource.MustParse("60Mi")},
			Limits:   corev1.ResourceList{"cpu": resource.MustParse("1000m"), "memory": resource.MustParse("600Mi")},
		},
		Env: []corev1.EnvVar{
			{Name: "GOGC", Value: "500"},
			{Name: "POD_NAME", ValueFrom: field("metadata.name")},
			{Name: "POD_IP", ValueFrom: field("status.podIP")},
			{Name: "SYSTEM_NAMESPACE", ValueFrom: field("metadata.namespace")},
			{Name: "CONFIG_LOGGING_NAME", Value: "config-logging"},
			{Name: "CONFIG_OBSERVABILITY_NAME", Value: "config-observability"},
		},
		ReadinessProbe: &corev1.Probe{ProbeHandler: get(), PeriodSeconds: 5, FailureThreshold: 5},
		LivenessProbe:  &corev1.Probe{ProbeHandler: get(), PeriodSeconds: 10, FailureThreshold: 12, InitialDelaySeconds: 15},
	}}
	c := corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: here, Data: map[string]string{
		"_example": "…", "queue-sidecar-image": "gcr.io/knative-releases/queue:v1.24.0",
	}}
	c.Name = "config-deployment"
	return d, c
}

// knativeServing is the part of the operator's resource that the example uses (knative.dev/operator, pkg/apis/operator/base).
type knativeServing struct {
	Spec struct {
		Registry struct{ Override map[string]string }
		Config   map[string]map[string]string
		// Workloads override settings of Deployments.
		Workloads []struct {
			Name      string
			Resources []struct {
				Container string
				corev1.ResourceRequirements
			}
			Env []struct {
				Container string
				EnvVars   []corev1.EnvVar
			}
		}
	}
}

// operated are Knative's objects after the operator's changes for the resource of a file.
func operated(t *testing.T, path string) (appsv1.Deployment, corev1.ConfigMap) {
	t.Helper()
	d, c := knatives()
	var k knativeServing
	decode(t, path, &k)
	container := &d.Spec.Template.Spec.Containers[0]
	container.Image = k.Spec.Registry.Override["activator"]
	for name, value := range k.Spec.Config["deployment"] {
		c.Data[name] = value
	}
	if len(k.Spec.Workloads) != 1 || k.Spec.Workloads[0].Name != d.Name {
		t.Fatalf("%s: workloads %+v", path, k.Spec.Workloads)
	}
	w := k.Spec.Workloads[0]
	container.Resources = w.Resources[0].ResourceRequirements
	for _, v := range w.Env[0].EnvVars {
		if i := slices.IndexFunc(container.Env, func(old corev1.EnvVar) bool { return old.Name == v.Name }); i >= 0 {
			container.Env[i] = v
		} else {
			container.Env = append(container.Env, v)
		}
	}
	return d, c
}

// component is the kustomize component: its resources and its patches.
func component(t *testing.T) (files []string) {
	t.Helper()
	var k struct {
		Resources []string
		Patches   []struct{ Path string }
	}
	decode(t, "config/kustomization.yaml", &k)
	files = k.Resources
	for _, p := range k.Patches {
		files = append(files, p.Path)
	}
	slices.Sort(files)
	return files
}

// All ways to install in docs/knative.md have the same result: the token audience without which pods don't announce
// themselves, the role, environment and resources.
func TestC19WaysToInstall(t *testing.T) {
	doc := text(t, "docs/knative.md")
	section := doc[strings.Index(doc, "\n## Swap in\n"):strings.Index(doc, "\n## Check\n")]
	byHand := section[strings.Index(section, "**With kubectl alone**"):strings.Index(section, "**With the Knative Operator**")]
	byOperator := section[strings.Index(section, "**With the Knative Operator**"):]

	t.Run("kubectl has the files of the component", func(t *testing.T) {
		var files []string
		for _, m := range regexp.MustCompile(`(?m)^    kubectl .*config/(\S+)$`).FindAllStringSubmatch(byHand, -1) {
			files = append(files, m[1])
		}
		slices.Sort(files)
		if want := component(t); !slices.Equal(files, want) {
			t.Errorf("the commands name %q, the component %q", files, want)
		}
		// kubectl has a strategic merge only for kinds that it knows.
		for line := range strings.Lines(byHand) {
			if strings.Contains(line, " patch image.caching") != strings.Contains(line, "--type merge") {
				t.Errorf("the wrong kind of patch: %s", line)
			}
		}
	})
	t.Run("the operator has the same", func(t *testing.T) {
		for _, want := range []string{"kubectl apply -f config/role.yaml\n", "-f examples/knative/operator.yaml\n"} {
			if !strings.Contains(byOperator, want) {
				t.Errorf("no %q in\n%s", want, byOperator)
			}
		}
		stockDeployment, stockMap := knatives()
		d, c := patched(t, stockDeployment, "config/activator.yaml"), patched(t, stockMap, "config/queue-proxy.yaml")
		od, oc := operated(t, "examples/knative/operator.yaml")
		live := &d.Spec.Template.Spec.Containers[0].LivenessProbe
		if (*live).HTTPGet.Path != "/livez" || (*live).FailureThreshold != 12 {
			t.Errorf("liveness %+v", *live)
		}
		*live = od.Spec.Template.Spec.Containers[0].LivenessProbe // the operator can't set its path (docs/knative.md)
		sorted := func(d appsv1.Deployment) string {
			env := d.Spec.Template.Spec.Containers[0].Env
			slices.SortFunc(env, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
			return string(marshal(t, d))
		}
		if a, b := sorted(d), sorted(od); a != b {
			t.Errorf("the component's Deployment\n%s\nthe operator's\n%s", a, b)
		}
		if !reflect.DeepEqual(c, oc) {
			t.Errorf("the component's ConfigMap\n%v\nthe operator's\n%v", c.Data, oc.Data)
		}
		if got := c.Data["queue-sidecar-token-audiences"]; got != "sluice" {
			t.Errorf("audience %q", got)
		}
	})
}

// With Knative's GOGC=500 the heap may grow to six times the live data, so that 100 MiB of waiting requests would reach the
// limit of 600Mi. The manifests must unset GOGC, and set GOMEMLIMIT below the limit.
func TestC12CollectorOfTheActivator(t *testing.T) {
	stock, _ := knatives()
	operator, _ := operated(t, "examples/knative/operator.yaml")
	for name, d := range map[string]appsv1.Deployment{"config": patched(t, stock, "config/activator.yaml"), "operator": operator} {
		c := d.Spec.Template.Spec.Containers[0]
		env := map[string]string{}
		for _, v := range c.Env {
			if _, twice := env[v.Name]; twice {
				t.Errorf("%s: %s is there twice", name, v.Name)
			}
			env[v.Name] = v.Value
		}
		if gogc, there := env["GOGC"]; !there || gogc != "" { // to Go and internal/heap empty means unset
			t.Errorf("%s: GOGC=%s", name, gogc)
		}
		soft, err := resource.ParseQuantity(strings.TrimSuffix(env["GOMEMLIMIT"], "B"))
		if hard := c.Resources.Limits["memory"]; err != nil || soft.Value() != hard.Value()*9/10 {
			t.Errorf("%s: GOMEMLIMIT=%s of %s, %v", name, env["GOMEMLIMIT"], hard.String(), err)
		}
	}
}
