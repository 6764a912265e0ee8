package clients

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

// lasting are the kinds whose objects outlive the quickstart.
var lasting = []schema.GroupVersionResource{
	{Group: "serving.knative.dev", Version: "v1", Resource: "services"},
	{Group: "serving.knative.dev", Version: "v1", Resource: "configurations"},
	{Group: "serving.knative.dev", Version: "v1", Resource: "routes"},
	{Group: "serving.knative.dev", Version: "v1", Resource: "revisions"},
	{Group: "eventing.knative.dev", Version: "v1", Resource: "brokers"},
	{Group: "eventing.knative.dev", Version: "v1", Resource: "triggers"},
	{Group: "sources.knative.dev", Version: "v1", Resource: "pingsources"},
	{Group: "sources.knative.dev", Version: "v1", Resource: "sinkbindings"},
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "namespaces"},
}

// snapshot reads all objects of the lasting kinds, by kind, namespace and name.
func snapshot(t *testing.T, q *quickstart) (all map[string]unstructured.Unstructured, newest uint64) {
	t.Helper()
	client, err := dynamic.NewForConfig(q.config())
	if err != nil {
		t.Fatal(err)
	}
	all = map[string]unstructured.Unstructured{}
	for _, r := range lasting {
		list, err := client.Resource(r).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		version, err := strconv.ParseUint(list.GetResourceVersion(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		newest = max(newest, version)
		for _, o := range list.Items {
			all[r.Resource+" "+o.GetNamespace()+"/"+o.GetName()] = o
		}
	}
	return all, newest
}

// Objects, revisions, their uids, generations and ages survive the quickstart, however it ends. Versions grow.
func TestRestart(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, append([]string{"-state", filepath.Join(t.TempDir(), "state")}, scalesSoon...)...)
	k := newTerminal(t, q)
	k.ok("kubectl create namespace shop && kubectl create -n shop configmap settings --from-literal=a=b && kubectl create secret generic key --from-literal=key=s3cret")
	k.ok("kubectl apply -f hello.yaml && kubectl wait ksvc hello --for=condition=Ready")
	k.write("eventing.yaml", strings.Replace(eventing, "name: hello}\n  sink", "name: other}\n  sink", 1)) // no binding makes another revision
	k.ok("kubectl apply -f eventing.yaml && kubectl delete containersource beats")
	k.write("hello.yaml", strings.Replace(hello, "World", "Knative", 1))
	k.ok("kubectl apply -f hello.yaml && kubectl label ksvc hello a=b && kubectl wait ksvc hello --for=condition=Ready")
	k.until("curl -sS "+q.url("default", "hello"), "^Hello Knative!$")
	k.until("kubectl get pod", "No resources found")
	before, newest := snapshot(t, q)
	if len(before) < 13 {
		t.Fatalf("%d objects", len(before))
	}
	for _, way := range []struct {
		name string
		end  func()
	}{{"SIGTERM", q.stop}, {"SIGKILL", q.kill}, {"SIGTERM, again", q.stop}} {
		way.end()
		q.start()
		after, version := snapshot(t, q)
		if version <= newest {
			t.Errorf("after %s: resourceVersion %d, before it %d", way.name, version, newest)
		}
		newest = version
		for key, was := range before {
			is, there := after[key]
			if !there {
				t.Errorf("after %s: %s is gone", way.name, key)
				continue
			}
			if is.GetUID() != was.GetUID() || is.GetGeneration() != was.GetGeneration() || !is.GetCreationTimestamp().Time.Equal(was.GetCreationTimestamp().Time) {
				t.Errorf("after %s: %s: uid %s, generation %d, created %v; before it %s, %d, %v", way.name, key, is.GetUID(), is.GetGeneration(),
					is.GetCreationTimestamp(), was.GetUID(), was.GetGeneration(), was.GetCreationTimestamp())
			}
		}
		for key := range after {
			if _, was := before[key]; !was {
				t.Errorf("after %s: %s is new", way.name, key)
			}
		}
		k.ok("kubectl get revisions", `^hello-00001 +hello +1 +True`, `^hello-00002 +hello +2 +True`)
		k.ok("kubectl apply -f hello.yaml", `(configured|unchanged)$`)
		k.ok("kubectl get revisions", `!hello-00003`)
		k.until("curl -sS "+q.url("default", "hello"), "^Hello Knative!$")
	}
	k.ok("kubectl patch ksvc hello --type=merge -p '{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"a\":\"b\"}}}}}'", `patched$`)
	k.until("kubectl get ksvc", `^hello .* hello-00003 +hello-00003 +True`)
}

// Two quickstarts must not share a directory.
func TestSecondQuickstartWithTheSameState(t *testing.T) {
	t.Parallel()
	first := newQuickstart(t)
	second := &quickstart{t: t, dir: first.dir}
	second.launch("-f=", "-port", "0")
	<-second.exited
	text := second.out.String()
	if second.err == nil || strings.Count(text, "\n") != 1 || !strings.Contains(text, filepath.Join(first.dir, ".local", "state", "sluice")) || !strings.Contains(text, "-state") {
		t.Errorf("%v; output:\n%s", second.err, text)
	}
	newTerminal(t, first).ok("kubectl get ksvc", "No resources found")
}

// With -state= nothing lasts.
func TestNothingLasts(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t, "-state=")
	newTerminal(t, q).ok("kubectl apply -f hello.yaml", "created$")
	q.stop()
	q.start()
	newTerminal(t, q).ok("kubectl get ksvc", "No resources found")
}
