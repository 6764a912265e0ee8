package objects_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

var update = flag.Bool("update", false, "write testdata")

var start = time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)

// service returns the state of service hello, whose template is that of document.
func service(t *testing.T, document string) objects.Service {
	t.Helper()
	var o map[string]any
	if err := yaml.Unmarshal([]byte(document), &o); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	manifest.Default(object.Object)
	object.SetCreationTimestamp(metav1.NewTime(start))
	store.Prepare(nil, object)
	return objects.Service{
		Object: object, URL: "http://hello.default.127.0.0.1.sslip.io:8080", Address: "http://hello.default.svc.cluster.local",
		LatestCreated: "hello-00001", LatestReady: "hello-00001",
		Traffic: []objects.Traffic{{Revision: "hello-00001", Latest: true, Percent: 100}},
	}
}

const hello = `
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello
  namespace: default
  labels: {team: a}
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: "{}"
    serving.knative.dev/creator: quickstart
    serving.knative.dev/lastModifier: quickstart
spec:
  template:
    metadata:
      labels: {tier: front}
      annotations: {autoscaling.knative.dev/min-scale: "0", example.com/note: x}
    spec:
      containerConcurrency: 10
      containers:
      - image: sluice/hello
        env: [{name: TARGET, value: World}]
        ports: [{containerPort: 8081}]
`

// revision returns one of s at zero.
func revision(s *objects.Service, generation int64) objects.Revision {
	template, _, _ := unstructured.NestedMap(s.Object.Object, "spec", "template")
	return objects.Revision{
		Template: template, Name: fmt.Sprintf("%s-%05d", s.Object.GetName(), generation), Generation: generation,
		Created: start.Add(time.Duration(generation) * time.Second), Ready: objects.True, Routed: true,
	}
}

// pod returns one that has just been started.
func pod(r *objects.Revision, n int) objects.Pod {
	return objects.Pod{
		Name: fmt.Sprintf("%s-%d-00ff", r.Name, n), UID: fmt.Sprintf("pod-%s-%d", r.Name, n),
		Created: start.Add(time.Minute), App: int64(20000 + 4*n), Proxy: int64(20001 + 4*n),
		Containers: []objects.Container{
			{Name: "user-container", Image: "sluice/hello", Waiting: "ContainerCreating"},
			{Name: "queue-proxy", Image: "sluice.dev/queue-proxy", Waiting: "ContainerCreating"},
		},
	}
}

func running(p objects.Pod) objects.Pod {
	for i := range p.Containers {
		c := &p.Containers[i]
		c.Running, c.Ready, c.Waiting, c.Started = true, true, "", p.Created.Add(time.Second)
	}
	p.Ready = true
	return p
}

// states are those of the golden files.
func states(t *testing.T) map[string]objects.Service {
	zero := service(t, hello)
	zero.Revisions = []objects.Revision{revision(&zero, 1)}

	active := service(t, hello)
	r := revision(&active, 1)
	r.Desired, r.Actual = 2, 2
	r.Pods = []objects.Pod{running(pod(&r, 1)), running(pod(&r, 2))}
	ending := running(pod(&r, 3))
	ending.Ready, ending.Ending = false, start.Add(2*time.Minute)
	ending.Containers[0].Ready = false
	r.Pods = append(r.Pods, ending)
	active.Revisions = []objects.Revision{r}

	deploying := service(t, hello)
	deploying.LatestReady = ""
	deploying.Node = "laptop"
	r = revision(&deploying, 1)
	r.Ready, r.Desired = objects.Unknown, 1
	r.Pods = []objects.Pod{pod(&r, 1)}
	deploying.Revisions = []objects.Revision{r}

	crashing := service(t, hello)
	crashing.LatestReady = ""
	r = revision(&crashing, 1)
	r.Ready, r.Reason, r.Message, r.Desired = objects.False, "ExitCode1", "Container failed with: no database", 1
	p := running(pod(&r, 1))
	p.Ready = false
	p.Containers[0] = objects.Container{
		Name: "user-container", Image: "sluice/hello", Waiting: "CrashLoopBackOff", Message: "no database", Restarts: 3,
		Started: p.Created.Add(4 * time.Second), Ended: true, ExitCode: 1, EndedAt: p.Created.Add(5 * time.Second), EndReason: "Error",
	}
	r.Pods = []objects.Pod{p}
	crashing.Revisions = []objects.Revision{r}

	split := service(t, strings.Replace(hello, "spec:\n", `spec:
  traffic:
  - {revisionName: hello-00001, percent: 50, tag: old}
  - {latestRevision: true, percent: 50}
  - {revisionName: hello-00002, percent: 0, tag: new}
`, 1))
	split.LatestCreated, split.LatestReady = "hello-00002", "hello-00002"
	split.Traffic = []objects.Traffic{
		{Revision: "hello-00001", Percent: 50, Tag: "old", URL: "http://old-hello.default.127.0.0.1.sslip.io:8080"},
		{Revision: "hello-00002", Latest: true, Percent: 50},
		{Revision: "hello-00002", Tag: "new", URL: "http://new-hello.default.127.0.0.1.sslip.io:8080"},
	}
	first, second := revision(&split, 1), revision(&split, 2)
	second.Desired, second.Actual = 1, 1
	second.Pods = []objects.Pod{running(pod(&second, 1))}
	gone := revision(&split, 3)
	gone.Name, gone.Generation, gone.Routed = "hello-other", 0, false
	split.Revisions = []objects.Revision{first, second, gone}

	return map[string]objects.Service{"zero": zero, "active": active, "deploying": deploying, "crashing": crashing, "split": split}
}

// lookup returns the objects of a result.
func lookup(list []objects.Item) objects.Lookup {
	return func(r schema.GroupResource, namespace, name string) kubeapi.Object {
		for _, item := range list {
			if item.Resource == r && item.Object.GetNamespace() == namespace && item.Object.GetName() == name {
				return item.Object
			}
		}
		return nil
	}
}

func nothing(schema.GroupResource, string, string) kubeapi.Object { return nil }

// Golden files have all objects of a state, with uids as numbers in order of their appearance.
func TestObjects(t *testing.T) {
	for name, s := range states(t) {
		t.Run(name, func(t *testing.T) {
			list := objects.Of(s, nothing, start.Add(time.Hour))
			var text bytes.Buffer
			uids := []string{string(s.Object.GetUID()), "uid-0"}
			for i, item := range list {
				uids = append(uids, string(item.Object.GetUID()), fmt.Sprintf("uid-%d", i))
				out, err := yaml.Marshal(item.Object.Object)
				if err != nil {
					t.Fatal(err)
				}
				text.WriteString("---\n")
				text.Write(out)
			}
			got := strings.NewReplacer(uids...).Replace(text.String())
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from the objects now; go test -run TestObjects -update writes it. They are:\n%s", file, got)
			}
			checkTypes(t, list)
			if s.Object.Object["status"] != nil {
				t.Error("the stored Service was changed")
			}
			if again := objects.Of(s, lookup(list), start.Add(2*time.Hour)); !reflect.DeepEqual(list, again) {
				t.Error("the same state gives other objects an hour later")
			}
		})
	}
}

// A service that was deleted and made again has other objects, also if the old ones are still there.
func TestServiceMadeAgain(t *testing.T) {
	before := objects.Of(states(t)["active"], nothing, start)
	after := objects.Of(states(t)["active"], lookup(before), start.Add(time.Hour))
	for i, item := range after {
		if item.Object.GetUID() == before[i].Object.GetUID() && item.Object.GetKind() != "Pod" {
			t.Errorf("%s %s is still the old one", item.Object.GetKind(), item.Object.GetName())
		}
	}
}

// A revision that has been ready stays so for its PodAutoscaler and its resources when its container fails.
func TestRevisionFailsAfterItWasReady(t *testing.T) {
	s := states(t)["zero"]
	var list []objects.Item
	for _, now := range []time.Time{start, start.Add(time.Minute), start.Add(time.Hour)} {
		list = objects.Of(s, lookup(list), now)
		s.Revisions[0].Ready, s.Revisions[0].Reason = objects.False, "ExitCode2"
	}
	revision := kind(t, "revisions", "serving.knative.dev").GroupVersionResource.GroupResource()
	autoscaler := kind(t, "podautoscalers", "autoscaling.internal.knative.dev").GroupVersionResource.GroupResource()
	r, a := conditions(lookup(list)(revision, "default", "hello-00001")), conditions(lookup(list)(autoscaler, "default", "hello-00001"))
	if r["Ready"]["reason"] != "ExitCode2" || r["Ready"]["lastTransitionTime"] != "2026-11-30T09:01:00Z" ||
		r["ContainerHealthy"]["status"] != "False" || r["ResourcesAvailable"]["status"] != "True" || a["ScaleTargetInitialized"]["status"] != "True" {
		t.Errorf("conditions are %v and %v", r, a)
	}
}

// checkTypes decodes the objects of Kubernetes as its own types: an unknown field is an error.
func checkTypes(t interface {
	Helper()
	Errorf(string, ...any)
}, list []objects.Item,
) {
	t.Helper()
	strict := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, serializer.SerializerOptions{Strict: true})
	for _, item := range list {
		if !scheme.Scheme.Recognizes(item.Object.GroupVersionKind()) {
			continue
		}
		text, err := item.Object.MarshalJSON()
		if err == nil {
			_, _, err = strict.Decode(text, nil, nil)
		}
		if err != nil {
			t.Errorf("%s %s: %v", item.Object.GetKind(), item.Object.GetName(), err)
		}
	}
}
