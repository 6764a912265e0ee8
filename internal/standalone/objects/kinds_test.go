package objects_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

func kind(t *testing.T, resource, group string) kubeapi.Resource {
	t.Helper()
	for _, k := range objects.Kinds() {
		if k.Resource == resource && k.Group == group {
			return k
		}
	}
	t.Fatalf("there is no kind %s.%s", resource, group)
	return kubeapi.Resource{}
}

// row returns the cells of an object, as kubectl shows them with or without -o wide.
func row(k kubeapi.Resource, o kubeapi.Object, wide bool) string {
	var cells []string
	for _, c := range k.Columns {
		if c.Priority > 0 && !wide {
			continue
		}
		cell := ""
		if v := c.Value(o); v != nil {
			cell = fmt.Sprint(v)
		}
		cells = append(cells, cell)
	}
	return strings.Join(cells, "|")
}

func TestColumns(t *testing.T) {
	all := states(t)
	for _, c := range []struct{ state, resource, group, name, want string }{
		{"active", "services", "serving.knative.dev", "hello", "hello|http://hello.default.127.0.0.1.sslip.io:8080|hello-00001|hello-00001|True|"},
		{"deploying", "services", "serving.knative.dev", "hello", "hello|http://hello.default.127.0.0.1.sslip.io:8080|hello-00001||Unknown|RevisionMissing"},
		{"active", "configurations", "serving.knative.dev", "hello", "hello|hello-00001|hello-00001|True|"},
		{"crashing", "configurations", "serving.knative.dev", "hello", "hello|hello-00001||False|RevisionFailed"},
		{"split", "routes", "serving.knative.dev", "hello", "hello|http://hello.default.127.0.0.1.sslip.io:8080|True|"},
		{"active", "revisions", "serving.knative.dev", "hello-00001", "hello-00001|hello|1|True||2|2"},
		{"zero", "revisions", "serving.knative.dev", "hello-00001", "hello-00001|hello|1|True||0|0"},
		{"crashing", "revisions", "serving.knative.dev", "hello-00001", "hello-00001|hello|1|False|ExitCode1|0|1"},
		{"zero", "podautoscalers", "autoscaling.internal.knative.dev", "hello-00001", "hello-00001|0|0|False|NoTraffic"},
		{"split", "ingresses", "networking.internal.knative.dev", "hello", "hello|True|"},
		{"zero", "serverlessservices", "networking.internal.knative.dev", "hello-00001", "hello-00001|Proxy|1|hello-00001|hello-00001-private|True|"},
		{"active", "services", "", "hello", "hello|ExternalName|<none>|hello.default.127.0.0.1.sslip.io|80/TCP|60m|<none>"},
		{"split", "services", "", "new-hello", "new-hello|ExternalName|<none>|new-hello.default.127.0.0.1.sslip.io|80/TCP|60m|<none>"},
		{"active", "services", "", "hello-00001", "hello-00001|ClusterIP|None|<none>|80/TCP|60m|<none>"},
		{"active", "endpoints", "", "hello-00001", "hello-00001|127.0.0.1:20005,127.0.0.1:20009|60m"},
		{"deploying", "endpoints", "", "hello-00001", "hello-00001||60m"},
		{"zero", "endpoints", "", "hello-00001", "hello-00001|<none>|60m"},
		{"active", "endpointslices", "discovery.k8s.io", "hello-00001-private-1-00ff", "hello-00001-private-1-00ff|IPv4|20005|127.0.0.1|119m"},
		{"active", "deployments", "apps", "hello-00001-deployment", "hello-00001-deployment|2/2|2|2|60m|user-container,queue-proxy|sluice/hello,sluice.dev/queue-proxy|SELECTOR"},
		{"crashing", "deployments", "apps", "hello-00001-deployment", "hello-00001-deployment|0/1|1|0|60m|user-container,queue-proxy|sluice/hello,sluice.dev/queue-proxy|SELECTOR"},
		{"active", "pods", "", "hello-00001-1-00ff", "hello-00001-1-00ff|2/2|Running|0|119m|127.0.0.1|sluice|<none>|<none>"},
		{"active", "pods", "", "hello-00001-3-00ff", "hello-00001-3-00ff|1/2|Terminating|0|119m|127.0.0.1|sluice|<none>|<none>"},
		{"deploying", "pods", "", "hello-00001-1-00ff", "hello-00001-1-00ff|0/2|ContainerCreating|0|119m|127.0.0.1|laptop|<none>|<none>"},
		{"crashing", "pods", "", "hello-00001-1-00ff", "hello-00001-1-00ff|1/2|CrashLoopBackOff|3 (118m ago)|119m|127.0.0.1|sluice|<none>|<none>"},
	} {
		made := objects.Of(all[c.state], nothing, start.Add(time.Hour))
		k := kind(t, c.resource, c.group)
		o := lookup(made)(k.GroupVersionResource.GroupResource(), "default", c.name).DeepCopy()
		shift(o.Object, time.Since(start)-2*time.Hour-time.Second)
		revision := lookup(made)(kind(t, "revisions", "serving.knative.dev").GroupVersionResource.GroupResource(), "default", "hello-00001")
		want := strings.ReplaceAll(c.want, "SELECTOR", "serving.knative.dev/revisionUID="+string(revision.GetUID()))
		if got := row(k, o, true); got != want {
			t.Errorf("%s %s of %s: %s, want %s", k.Kind, c.name, c.state, got, want)
		}
	}
}

// shift moves all times within o by d.
func shift(o map[string]any, d time.Duration) {
	for key, value := range o {
		switch value := value.(type) {
		case string:
			if at, err := time.Parse(time.RFC3339, value); err == nil {
				o[key] = at.Add(d).Format(time.RFC3339)
			}
		case map[string]any:
			shift(value, d)
		case []any:
			for _, item := range value {
				if item, ok := item.(map[string]any); ok {
					shift(item, d)
				}
			}
		}
	}
}

// Pods as kubectl shows them: name, READY, STATUS and RESTARTS.
func TestPodColumns(t *testing.T) {
	up := func(name string) objects.Container {
		return objects.Container{Name: name, Running: true, Ready: true, Started: start}
	}
	ended := func(name string, code int64) objects.Container {
		return objects.Container{Name: name, Ended: true, ExitCode: code, Started: start, EndedAt: time.Now().Add(-30 * time.Hour)}
	}
	waits := func(c objects.Container, why string, restarts int64) objects.Container {
		c.Running, c.Ready, c.Waiting, c.Restarts = false, false, why, restarts
		return c
	}
	restarted := up("user-container")
	restarted.Ended, restarted.ExitCode, restarted.EndedAt, restarted.Restarts = true, 1, time.Now().Add(-30*time.Hour), 2
	unready := up("user-container")
	unready.Ready = false
	killed := ended("user-container", 137)
	killed.EndReason = "OOMKilled"
	proxy := up("queue-proxy")
	creating := waits(up("user-container"), "ContainerCreating", 0)
	initializing := waits(up("user-container"), "PodInitializing", 0)
	for want, p := range map[string]objects.Pod{
		"2/2|Running|0":                         {Ready: true, Containers: []objects.Container{up("user-container"), proxy}},
		"1/2|Running|0":                         {Containers: []objects.Container{unready, proxy}},
		"2/2|Running|2 (30h ago)":               {Ready: true, Containers: []objects.Container{restarted, proxy}},
		"0/2|ContainerCreating|0":               {Containers: []objects.Container{creating, waits(proxy, "ContainerCreating", 0)}},
		"0/2|Pending|0":                         {},
		"1/2|CrashLoopBackOff|3 (30h ago)":      {Containers: []objects.Container{waits(ended("user-container", 1), "CrashLoopBackOff", 3), proxy}},
		"1/2|Error|0":                           {Containers: []objects.Container{ended("user-container", 1), proxy}},
		"1/2|OOMKilled|0":                       {Containers: []objects.Container{killed, proxy}},
		"1/2|NotReady|0":                        {Containers: []objects.Container{ended("user-container", 0), proxy}},
		"0/2|Completed|0":                       {Containers: []objects.Container{ended("user-container", 0), ended("queue-proxy", 0)}},
		"2/2|Terminating|0":                     {Ending: time.Now(), Containers: []objects.Container{up("user-container"), proxy}},
		"0/3|Init:0/2|0":                        {Init: []objects.Container{up("once"), waits(up("stays"), "PodInitializing", 0)}, Containers: []objects.Container{initializing, waits(proxy, "PodInitializing", 0)}},
		"0/3|Init:1/2|0":                        {Init: []objects.Container{ended("once", 0), waits(up("stays"), "PodInitializing", 0)}, Containers: []objects.Container{initializing}},
		"0/3|Init:Error|0":                      {Init: []objects.Container{ended("once", 1)}, Containers: []objects.Container{initializing}},
		"0/3|Init:CrashLoopBackOff|2 (30h ago)": {Init: []objects.Container{waits(ended("once", 1), "CrashLoopBackOff", 2)}, Containers: []objects.Container{initializing}},
		"1/3|PodInitializing|0":                 {Init: []objects.Container{ended("once", 0), up("stays")}, Containers: []objects.Container{initializing}},
		"3/3|Running|0":                         {Ready: true, Init: []objects.Container{ended("once", 0), up("stays")}, Containers: []objects.Container{up("user-container"), proxy}},
		"2/3|Init:CrashLoopBackOff|4 (30h ago)": {Init: []objects.Container{ended("once", 0), waits(ended("stays", 1), "CrashLoopBackOff", 4)}, Containers: []objects.Container{up("user-container"), proxy}},
	} {
		s := service(t, hello)
		r := revision(&s, 1)
		if len(p.Init) > 0 {
			spec := r.Template["spec"].(map[string]any)
			spec["initContainers"] = []any{map[string]any{"name": "once"}, map[string]any{"name": "stays", "restartPolicy": "Always"}}
		}
		p.Name, p.UID, p.Created = "p", "p", start
		r.Pods = []objects.Pod{p}
		s.Revisions = []objects.Revision{r}
		k := kind(t, "pods", "")
		o := lookup(objects.Of(s, nothing, start))(k.GroupVersionResource.GroupResource(), "default", "p")
		if got := strings.Split(row(k, o, false), "|"); strings.Join(got[1:4], "|") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

// Conditions as kn counts them: those that are True, of all.
func TestConditionsAsCountedByKn(t *testing.T) {
	all := states(t)
	for _, c := range []struct{ state, resource, name, want string }{
		{"zero", "services", "hello", "3 OK / 3"},
		{"active", "services", "hello", "3 OK / 3"},
		{"split", "services", "hello", "3 OK / 3"},
		{"deploying", "services", "hello", "0 OK / 3"},
		{"zero", "routes", "hello", "4 OK / 4"},
		{"zero", "revisions", "hello-00001", "3 OK / 4"},
		{"active", "revisions", "hello-00001", "4 OK / 4"},
		{"deploying", "revisions", "hello-00001", "0 OK / 4"},
		{"split", "revisions", "hello-00001", "3 OK / 4"},
		{"split", "revisions", "hello-00002", "4 OK / 4"},
	} {
		k := kind(t, c.resource, "serving.knative.dev")
		list := conditions(lookup(objects.Of(all[c.state], nothing, start))(k.GroupVersionResource.GroupResource(), "default", c.name))
		ok := 0
		for _, c := range list {
			if c["status"] == "True" {
				ok++
			}
		}
		if got := fmt.Sprintf("%d OK / %d", ok, len(list)); got != c.want {
			t.Errorf("%s of %s %s: %s, want %s", c.state, c.resource, c.name, got, c.want)
		}
	}
}

// kn shows a digest as what the image is pinned to.
func TestRevisionHasTheDigestOfAPinnedImage(t *testing.T) {
	for image, want := range map[string]any{"sluice/hello": nil, "sluice/hello@sha256:0123": "sluice/hello@sha256:0123"} {
		s := service(t, strings.Replace(hello, "sluice/hello", image, 1))
		s.Revisions = []objects.Revision{revision(&s, 1)}
		r := lookup(objects.Of(s, nothing, start))(schema.GroupResource{Group: "serving.knative.dev", Resource: "revisions"}, "default", "hello-00001")
		statuses, _, _ := unstructured.NestedSlice(r.Object, "status", "containerStatuses")
		if len(statuses) != 1 || statuses[0].(map[string]any)["imageDigest"] != want {
			t.Errorf("%s: %v, want digest %v", image, statuses, want)
		}
	}
}

func TestDataColumns(t *testing.T) {
	for _, c := range []struct{ resource, object, want string }{
		{"configmaps", `{"metadata":{"name":"c"},"data":{"a":"1","b":"2"},"binaryData":{"c":"MQ=="}}`, "c|3|<unknown>"},
		{"secrets", `{"metadata":{"name":"s"},"type":"Opaque","data":{"a":"MQ=="}}`, "s|Opaque|1|<unknown>"},
		{"namespaces", `{"metadata":{"name":"n"},"status":{"phase":"Active"}}`, "n|Active|<unknown>"},
	} {
		o := &unstructured.Unstructured{}
		if err := json.Unmarshal([]byte(c.object), &o.Object); err != nil {
			t.Fatal(err)
		}
		if got := row(kind(t, c.resource, ""), o, false); got != c.want {
			t.Errorf("%s: %s, want %s", c.resource, got, c.want)
		}
	}
}

// Each kind can be explained and says why it can't be written, whatever its object looks like.
func TestKinds(t *testing.T) {
	names := map[string]bool{}
	for _, k := range objects.Kinds() {
		for _, name := range append(slices.Clone(k.ShortNames), k.GroupVersionResource.String()) {
			if names[name] {
				t.Errorf("%s: the name %s is there twice", k.Resource, name)
			}
			names[name] = true
		}
		if k.Singular == "" || k.Kind == "" || len(k.Columns) == 0 {
			t.Errorf("%s is incomplete: %+v", k.Resource, k)
		}
		if len(k.Writes) < 4 && k.ReadOnly == "" {
			t.Errorf("%s doesn't say why it isn't written", k.Resource)
		}
		if k.Schema == nil && manifest.Schema(k.Kind) == nil {
			t.Errorf("%s has no schema", k.Resource)
		}
		runtime.DeepCopyJSON(k.Schema) // panics unless it is JSON
		for _, odd := range []map[string]any{
			{},
			{"metadata": "odd", "spec": []any{"odd"}, "status": "odd", "subsets": int64(1), "data": "odd"},
			{
				"metadata": map[string]any{"name": int64(1)}, "subsets": []any{map[string]any{"ports": "odd"}}, "endpoints": []any{map[string]any{"addresses": "odd"}},
				"spec":   map[string]any{"containers": []any{"odd"}, "initContainers": "odd", "ports": []any{map[string]any{"port": "odd"}}},
				"status": map[string]any{"containerStatuses": []any{map[string]any{"state": "odd"}}, "conditions": []any{"odd", map[string]any{}}},
			},
		} {
			_ = row(k, &unstructured.Unstructured{Object: odd}, true)
		}
	}
}

// The fields that a schema describes have its types.
func TestSchemasFitObjects(t *testing.T) {
	for _, s := range states(t) {
		for _, item := range objects.Of(s, nothing, start) {
			k := kind(t, item.Resource.Resource, item.Resource.Group)
			fits(t, k.Kind, item.Object.Object, k.Schema)
		}
	}
}

// fits checks the fields of an object by its schema.
func fits(t *testing.T, path string, object, schema map[string]any) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for name, value := range object {
		p, ok := properties[name].(map[string]any)
		if !ok {
			continue
		}
		var is string
		switch value := value.(type) {
		case map[string]any:
			is = "object"
			fits(t, path+"."+name, value, p)
		case []any:
			is = "array"
		case string:
			is = "string"
		case int64:
			is = "integer"
		}
		if is != p["type"] {
			t.Errorf("%s.%s is %T, described as %v", path, name, value, p["type"])
		}
	}
}

// Kinds of Knative have definitions, by which kn finds those that are sources.
func TestDefinitions(t *testing.T) {
	k := kind(t, "customresourcedefinitions", "apiextensions.k8s.io")
	var all, sources []string
	for _, item := range objects.Definitions() {
		if item.Resource != k.GroupVersionResource.GroupResource() {
			t.Errorf("a definition is stored as %v", item.Resource)
		}
		fits(t, k.Kind, item.Object.Object, k.Schema)
		runtime.DeepCopyJSON(item.Object.Object) // panics unless it is JSON
		plural, _, _ := unstructured.NestedString(item.Object.Object, "spec", "names", "plural")
		group, _, _ := unstructured.NestedString(item.Object.Object, "spec", "group")
		defined := kind(t, plural, group)
		if name, _, _ := unstructured.NestedString(item.Object.Object, "spec", "names", "kind"); name != defined.Kind {
			t.Errorf("%s is of kind %s", defined.Kind, name)
		}
		all = append(all, plural+"."+group)
		versions, _, _ := unstructured.NestedSlice(item.Object.Object, "spec", "versions")
		if plural == "pingsources" && !reflect.DeepEqual(versions, []any{
			map[string]any{"name": "v1", "served": true, "storage": true}, map[string]any{"name": "v1beta2", "served": true, "storage": false},
		}) || plural != "pingsources" && len(versions) != 1 {
			t.Errorf("versions of %s: %v", plural, versions)
		}
		if item.Object.GetLabels()["duck.knative.dev/source"] == "true" {
			sources = append(sources, plural)
		}
		if got := row(k, item.Object, false); got != item.Object.GetName()+"|"+item.Object.GetCreationTimestamp().UTC().Format(time.RFC3339) {
			t.Errorf("shown as %s", got)
		}
	}
	if want := []string{"pingsources", "containersources", "sinkbindings"}; !slices.Equal(sources, want) {
		t.Errorf("sources are %v, want %v", sources, want)
	}
	if names := slices.Compact(slices.Sorted(slices.Values(all))); len(names) != len(all) {
		t.Errorf("definitions of %v", all)
	}
	if !slices.Contains(all, "services.serving.knative.dev") || slices.Contains(all, "pods.") {
		t.Errorf("definitions of %v", all)
	}
}

// The structs for strategic merge patches have the fields and the tags of Kubernetes' own.
func TestPatchTypes(t *testing.T) {
	for resource, own := range map[string]any{"configmaps": corev1.ConfigMap{}, "secrets": corev1.Secret{}, "namespaces": corev1.Namespace{}} {
		patch := kind(t, resource, "").Patch
		if got, want := fields(reflect.TypeOf(patch).Elem()), fields(reflect.TypeOf(own)); !slices.Equal(got, want) {
			t.Errorf("%s: fields %v, want %v", resource, got, want)
		}
		out, err := strategicpatch.StrategicMergePatch(
			[]byte(`{"metadata":{"name":"a","finalizers":["x"]},"data":{"a":"MQ==","b":"Mg=="}}`),
			[]byte(`{"metadata":{"finalizers":["y"],"labels":{"l":"1"}},"data":{"a":null,"c":"Mw=="}}`), patch)
		if resource == "namespaces" {
			continue // it has no data
		}
		const want = `{"data":{"b":"Mg==","c":"Mw=="},"metadata":{"finalizers":["y","x"],"labels":{"l":"1"},"name":"a"}}`
		if err != nil || string(out) != want {
			t.Errorf("%s: %s, %v, want %s", resource, out, err, want)
		}
	}
}

// fields returns the names of a struct's fields in JSON.
func fields(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
