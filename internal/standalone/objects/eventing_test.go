package objects_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

var (
	up      = objects.Condition{State: objects.True}
	unknown = objects.Condition{State: objects.Unknown}
)

// eventing is a state of an object of Eventing.
type eventing struct {
	resource schema.GroupResource
	object   kubeapi.Object
	state    objects.Eventing
}

// eventings are the states of the golden file, by names.
func eventings() map[string]eventing {
	object := func(group, kind, resource, name string, spec map[string]any) eventing {
		o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		o.SetAPIVersion(group + "/v1")
		o.SetKind(kind)
		o.SetNamespace("shop")
		o.SetName(name)
		o.SetUID("uid-of-it")
		o.SetCreationTimestamp(metav1.NewTime(start))
		o.SetAnnotations(map[string]string{"eventing.knative.dev/broker.class": "MTChannelBasedBroker"})
		store.Prepare(nil, o)
		return eventing{schema.GroupResource{Group: group, Resource: resource}, o, nil}
	}
	broker := object("eventing.knative.dev", "Broker", "brokers", "example-broker", map[string]any{})
	trigger := object("eventing.knative.dev", "Trigger", "triggers", "player", map[string]any{"broker": "example-broker"})
	ping := object("sources.knative.dev", "PingSource", "pingsources", "ping", map[string]any{"schedule": "* * * * *"})
	container := object("sources.knative.dev", "ContainerSource", "containersources", "heartbeats", map[string]any{"template": map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"app": "beats"}},
		"spec":     map[string]any{"terminationGracePeriodSeconds": int64(3), "containers": []any{map[string]any{"name": "heartbeats-0", "image": "i"}}},
	}})
	binding := object("sources.knative.dev", "SinkBinding", "sinkbindings", "bind", map[string]any{})
	with := func(e eventing, state objects.Eventing) eventing {
		e.state = state
		return e
	}
	const url = "http://broker-ingress.knative-eventing.svc.cluster.local/shop/example-broker"
	there, gone := objects.Sink{URI: url}, objects.Sink{Why: `failed to get object shop/none: services.serving.knative.dev "none" not found`}
	beats := objects.Pod{
		Name: "heartbeats-1-00ff", UID: "uid-of-pod", Created: start,
		Containers: []objects.Container{{Name: "heartbeats-0", Image: "i", Running: true, Ready: true, Started: start}}, Ready: true,
	}
	ending := beats
	ending.Name, ending.UID, ending.Ending, ending.Ready = "heartbeats-2-00ff", "uid-of-another", start.Add(time.Minute), false
	return map[string]eventing{
		"broker":                 with(broker, objects.Broker{Address: url, Ingress: up}),
		"broker-dead-letters":    with(broker, objects.Broker{Address: url, Ingress: up, DeadLetterSink: &there}),
		"broker-no-dead-letters": with(broker, objects.Broker{Address: url, Ingress: up, DeadLetterSink: &gone}),
		"broker-full":            with(broker, objects.Broker{Address: url, Ingress: objects.Condition{State: objects.False, Reason: "DiskFull", Message: "no space left"}}),
		"trigger":                with(trigger, objects.Trigger{Broker: up, Subscriber: there, Subscribed: up, Dependency: up, DeadLetterSink: &there}),
		"trigger-no-broker": with(trigger, objects.Trigger{
			Broker:     objects.Condition{State: objects.False, Reason: "BrokerDoesNotExist", Message: `Broker "example-broker" does not exist`},
			Subscriber: there, Subscribed: unknown, Dependency: up,
		}),
		"trigger-no-subscriber": with(trigger, objects.Trigger{Broker: up, Subscriber: gone, Subscribed: unknown, Dependency: up}),
		"ping":                  with(ping, objects.PingSource{Sink: there}),
		"ping-no-sink":          with(ping, objects.PingSource{Sink: gone}),
		"container":             with(container, objects.ContainerSource{Sink: there, Ready: up, Pods: []objects.Pod{beats, ending}}),
		"container-no-sink":     with(container, objects.ContainerSource{Sink: gone, Ready: unknown}),
		"binding":               with(binding, objects.SinkBinding{Sink: there, Subject: up}),
		"binding-no-subject":    with(binding, objects.SinkBinding{Sink: gone, Subject: objects.Condition{State: objects.False, Reason: "SubjectMissing", Message: "none"}}),
	}
}

func (e eventing) make(object kubeapi.Object, present objects.Lookup, now time.Time) []objects.Item {
	return objects.OfEventing(e.resource, object, e.state, present, now)
}

// The golden file has the statuses, and the pods of ContainerSources.
func TestEventingObjects(t *testing.T) {
	var text bytes.Buffer
	all := eventings()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		list := e.make(e.object, nothing, start.Add(time.Hour))
		shown := map[string]any{"state": name, "status": list[0].Object.Object["status"]}
		for _, item := range list[1:] {
			shown[item.Object.GetName()] = item.Object.Object
		}
		out, err := yaml.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n")
		text.Write(out)
		checkTypes(t, list)
		if e.object.Object["status"] != nil {
			t.Errorf("%s: the stored object was changed", name)
		}
		if again := e.make(list[0].Object, lookup(list), start.Add(2*time.Hour)); !reflect.DeepEqual(list, again) {
			t.Errorf("%s: the same state gives other objects an hour later:\n%v\n%v", name, list, again)
		}
	}
	file := filepath.Join("testdata", "eventing.yaml")
	if *update {
		if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("%s differs from the objects now; go test -run TestEventingObjects -update writes it. They are:\n%s", file, text.String())
	}
}

func TestEventingColumns(t *testing.T) {
	for name, want := range map[string]string{
		"broker":             "example-broker|URL|60m|True||MTChannelBasedBroker",
		"broker-full":        "example-broker|URL|60m|False|DiskFull|MTChannelBasedBroker",
		"trigger":            "player|example-broker|URL|60m|True|",
		"trigger-no-broker":  "player|example-broker|URL|60m|False|BrokerDoesNotExist",
		"ping":               "ping|URL|* * * * *|60m|True|",
		"ping-no-sink":       "ping||* * * * *|60m|False|NotFound",
		"container":          "heartbeats|URL|60m|True|",
		"container-no-sink":  "heartbeats||60m|False|NoAddressable",
		"binding":            "bind|URL|60m|True|",
		"binding-no-subject": "bind||60m|False|SubjectMissing",
	} {
		e := eventings()[name]
		o := e.make(e.object, nothing, start)[0].Object.DeepCopy()
		shift(o.Object, time.Since(start)-time.Hour-time.Second)
		want = strings.ReplaceAll(want, "URL", "http://broker-ingress.knative-eventing.svc.cluster.local/shop/example-broker")
		if got := row(kind(t, e.resource.Resource, e.resource.Group), o, true); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Whatever its states, an object of Eventing keeps its identity and the times of what stays, is Ready exactly if all of its
// conditions are True, and doesn't depend on when it is asked for.
func TestEventingOfAnyState(t *testing.T) {
	all := eventings()
	conditionOf := rapid.Custom(func(t *rapid.T) objects.Condition {
		return objects.Condition{
			State:  rapid.SampledFrom([]objects.State{objects.True, objects.False, objects.Unknown}).Draw(t, "state"),
			Reason: rapid.SampledFrom([]string{"", "Odd"}).Draw(t, "reason"),
		}
	})
	sink := rapid.Custom(func(t *rapid.T) objects.Sink {
		return rapid.SampledFrom([]objects.Sink{{URI: "http://a"}, {URI: "http://b"}, {Why: "gone"}}).Draw(t, "sink")
	})
	rapid.Check(t, func(t *rapid.T) {
		e := all[rapid.SampledFrom([]string{"broker", "trigger", "ping", "container", "binding"}).Draw(t, "kind")]
		now, object, before := start, e.object, []objects.Item(nil)
		for range 3 {
			now = now.Add(time.Minute)
			c, to := conditionOf.Draw(t, "condition"), sink.Draw(t, "to")
			switch e.state.(type) {
			case objects.Broker:
				e.state = objects.Broker{Address: "http://a", Ingress: c, DeadLetterSink: rapid.Ptr(sink, true).Draw(t, "dead")}
			case objects.Trigger:
				e.state = objects.Trigger{
					Broker: c, Subscriber: to, Subscribed: conditionOf.Draw(t, "subscribed"), Dependency: conditionOf.Draw(t, "dependency"),
					DeadLetterSink: rapid.Ptr(sink, true).Draw(t, "dead"),
				}
			case objects.PingSource:
				e.state = objects.PingSource{Sink: to}
			case objects.ContainerSource:
				state := objects.ContainerSource{Sink: to, Ready: c}
				for _, name := range []string{"a", "b"}[:rapid.IntRange(0, 2).Draw(t, "pods")] {
					state.Pods = append(state.Pods, drawPod(t, name))
				}
				e.state = state
			case objects.SinkBinding:
				e.state = objects.SinkBinding{Sink: to, Subject: c}
			}
			list := e.make(object, lookup(before), now)
			checkTypes(t, list)
			compare(t, before, list)
			if again := e.make(list[0].Object, lookup(list), now.Add(time.Hour)); !reflect.DeepEqual(list, again) {
				t.Fatalf("the same state gives other objects later:\n%v\n%v", list, again)
			}
			allTrue, status := true, conditions(list[0].Object)
			for name, condition := range status {
				if name != "Ready" && condition["status"] != "True" {
					allTrue = false
				}
			}
			if (status["Ready"]["status"] == "True") != allTrue || objects.ReadyOf(e.state).State != objects.State(status["Ready"]["status"].(string)) {
				t.Fatalf("Ready is %v of %v", status["Ready"], status)
			}
			for _, item := range list[1:] {
				if owner := metav1.GetControllerOf(item.Object); owner == nil || owner.UID != object.GetUID() {
					t.Fatalf("%s has the owner %v", item.Object.GetName(), owner)
				}
			}
			object, before = list[0].Object, list
		}
	})
}
