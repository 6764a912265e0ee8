package objects_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

func drawContainer(t *rapid.T, name string) objects.Container {
	return objects.Container{
		Name: rapid.SampledFrom([]string{name, ""}).Draw(t, "name"), Image: "i", Running: rapid.Bool().Draw(t, "running"),
		Started: drawTime(t), Ready: rapid.Bool().Draw(t, "ready"), Restarts: rapid.Int64Range(0, 3).Draw(t, "restarts"),
		Waiting: rapid.SampledFrom([]string{"", "ContainerCreating", "PodInitializing", "CrashLoopBackOff"}).Draw(t, "waiting"),
		Message: rapid.SampledFrom([]string{"", "boom"}).Draw(t, "message"), Ended: rapid.Bool().Draw(t, "ended"),
		ExitCode: rapid.Int64Range(0, 2).Draw(t, "exit"), EndedAt: drawTime(t), EndReason: rapid.SampledFrom([]string{"", "OOMKilled"}).Draw(t, "end"),
	}
}

// drawTime returns a time with parts of a second, or none.
func drawTime(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "never") {
		return time.Time{}
	}
	return start.Add(time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "time")))
}

func drawPod(t *rapid.T, name string) objects.Pod {
	p := objects.Pod{
		Name: name, UID: "uid of " + name, Created: start.Add(time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "created"))), Ending: drawTime(t),
		Ready: rapid.Bool().Draw(t, "ready"), App: 1, Proxy: 2,
		Reason: rapid.SampledFrom([]string{"", "Odd"}).Draw(t, "reason"), Message: rapid.SampledFrom([]string{"", "odd"}).Draw(t, "message"),
	}
	for _, c := range []string{"user-container", "queue-proxy"} {
		p.Containers = append(p.Containers, drawContainer(t, c))
	}
	for _, c := range []string{"once", "stays"}[:rapid.IntRange(0, 2).Draw(t, "init")] {
		p.Init = append(p.Init, drawContainer(t, c))
	}
	return p
}

func drawRevision(t *rapid.T, n int) objects.Revision {
	name := fmt.Sprintf("hello-%05d", n)
	r := objects.Revision{
		Template: map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"l": "1"}, "annotations": map[string]any{"a": "1"}},
			"spec": map[string]any{
				"containerConcurrency": rapid.Int64Range(0, 2).Draw(t, "cc"), "timeoutSeconds": int64(300),
				"containers": []any{map[string]any{
					"name": "user-container", "image": "i",
					"ports": []any{map[string]any{"name": rapid.SampledFrom([]string{"h2c", "http1"}).Draw(t, "protocol")}},
				}},
				"initContainers": []any{
					map[string]any{"name": "once", "image": "i"}, map[string]any{"name": "stays", "image": "i", "restartPolicy": "Always"},
				},
			},
		},
		Name: name, Generation: int64(n), Created: start, Routed: rapid.Bool().Draw(t, "routed"),
		Ready:   rapid.SampledFrom([]objects.State{objects.True, objects.False, objects.Unknown}).Draw(t, "ready"),
		Reason:  rapid.SampledFrom([]string{"", "ExitCode1", "ProgressDeadlineExceeded"}).Draw(t, "reason"),
		Message: rapid.SampledFrom([]string{"", "no luck"}).Draw(t, "message"),
		Desired: rapid.Int64Range(0, 3).Draw(t, "desired"), Actual: rapid.Int64Range(0, 3).Draw(t, "actual"), MinScale: rapid.Int64Range(0, 2).Draw(t, "min"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "pods") {
		r.Pods = append(r.Pods, drawPod(t, fmt.Sprintf("%s-%d-abcd", name, i)))
	}
	return r
}

func drawService(t *rapid.T, object *unstructured.Unstructured) objects.Service {
	names := []string{"hello-00001", "hello-00002", "hello-00003"}
	s := objects.Service{
		Object: object, URL: "http://hello.default.localhost", Address: "http://hello.default.svc.cluster.local",
		LatestCreated: rapid.SampledFrom(names).Draw(t, "created"), LatestReady: rapid.SampledFrom(append(names, "")).Draw(t, "latest"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "targets") {
		s.Traffic = append(s.Traffic, objects.Traffic{
			Revision: rapid.SampledFrom(append(names, "")).Draw(t, "target"), Latest: rapid.Bool().Draw(t, "follows"),
			Percent: rapid.Int64Range(0, 100).Draw(t, "percent"), Tag: []string{"", "a", "b"}[i], URL: "http://a-hello.default.localhost",
		})
	}
	for n := range rapid.IntRange(0, 3).Draw(t, "revisions") {
		s.Revisions = append(s.Revisions, drawRevision(t, n+1))
	}
	return s
}

// Whatever the states that a service goes through, the objects don't depend on when they are asked for, share nothing with the
// state, keep their identities and the times of what stays, belong to each other, and are well-formed.
func TestObjectsOfAnyState(t *testing.T) {
	object := service(t, hello).Object
	kinds := map[schema.GroupResource]bool{}
	for _, k := range objects.Kinds() {
		kinds[k.GroupVersionResource.GroupResource()] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		var before []objects.Item
		now := start
		for range rapid.IntRange(1, 3).Draw(t, "states") {
			now = now.Add(time.Minute)
			s := drawService(t, object)
			list := objects.Of(s, lookup(before), now)
			check(t, list, kinds)
			compare(t, before, list)
			copied := make([]objects.Item, len(list))
			for i, item := range list {
				copied[i] = objects.Item{Resource: item.Resource, Object: item.Object.DeepCopy()}
			}
			if again := objects.Of(s, lookup(list), now.Add(time.Hour)); !reflect.DeepEqual(list, again) {
				t.Fatalf("the same state gives other objects later:\n%v\n%v", list, again)
			}
			for _, r := range s.Revisions {
				spoil(r.Template)
				for i := range r.Pods {
					r.Pods[i].Name, r.Pods[i].Containers[0].Name = "spoilt", "spoilt"
				}
			}
			if !reflect.DeepEqual(list, copied) {
				t.Fatal("the objects change with the state, or with the present objects")
			}
			before = list
		}
	})
}

// spoil changes all values within o.
func spoil(o map[string]any) {
	for key, value := range o {
		switch value := value.(type) {
		case map[string]any:
			spoil(value)
		case []any:
			for _, item := range value {
				if item, ok := item.(map[string]any); ok {
					spoil(item)
				}
			}
		default:
			o[key] = "spoilt"
		}
	}
}

// check reports objects that are not unique, of unknown kinds or fields, or whose owners don't come before them.
func check(t *rapid.T, list []objects.Item, kinds map[schema.GroupResource]bool) {
	checkTypes(t, list)
	keys, uids := map[string]bool{}, map[any]bool{}
	for _, item := range list {
		o := item.Object
		key := fmt.Sprint(item.Resource, o.GetNamespace(), "/", o.GetName())
		created := o.GetCreationTimestamp()
		if keys[key] || o.GetUID() == "" || uids[o.GetUID()] || created.IsZero() || !kinds[item.Resource] {
			t.Fatalf("%s: it is there twice, incomplete, or of no kind: %v", key, o)
		}
		keys[key], uids[o.GetUID()] = true, true
		if owner := metav1.GetControllerOf(o); owner != nil && !uids[owner.UID] {
			t.Fatalf("%s: its owner %v isn't before it", key, owner)
		} else if owner == nil && o.GetKind() != "Service" {
			t.Fatalf("%s has no owner", key)
		}
		if observed, ok, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration"); ok && observed != o.GetGeneration() {
			t.Fatalf("%s: generation %d, observed %d", key, o.GetGeneration(), observed)
		}
	}
}

// compare reports objects that got another identity, and conditions that got another time without another status.
func compare(t *rapid.T, before, after []objects.Item) {
	was := lookup(before)
	for _, item := range after {
		o, old := item.Object, was(item.Resource, item.Object.GetNamespace(), item.Object.GetName())
		if old == nil || old.GetCreationTimestamp() != o.GetCreationTimestamp() {
			continue // a pod of the same name, made at another time
		}
		if old.GetUID() != o.GetUID() {
			t.Fatalf("%s %s has another uid", o.GetKind(), o.GetName())
		}
		for kind, c := range conditions(o) {
			if b := conditions(old)[kind]; b != nil && (b["status"] == c["status"]) != (b["lastTransitionTime"] == c["lastTransitionTime"]) {
				t.Fatalf("%s %s: condition was %v, is %v", o.GetKind(), o.GetName(), b, c)
			}
		}
	}
}

// conditions returns an object's conditions by type.
func conditions(o *unstructured.Unstructured) map[string]map[string]any {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	all := map[string]map[string]any{}
	for _, item := range list {
		c := item.(map[string]any)
		all[c["type"].(string)] = c
	}
	return all
}
