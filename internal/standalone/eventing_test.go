package standalone

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

var (
	brokers          = eventingResources[manifest.KindBroker]
	triggers         = eventingResources[manifest.KindTrigger]
	pingSources      = eventingResources[manifest.KindPingSource]
	containerSources = eventingResources[manifest.KindContainerSource]
	sinkBindings     = eventingResources[manifest.KindSinkBinding]
)

// eventApp is an app that says what events it gets, and, with an argument, one that sends them to $K_SINK.
const eventApp = `package main

import ("fmt"; "io"; "net/http"; "os"; "strings"; "time")

func main() {
	if len(os.Args) > 1 {
		for {
			r, _ := http.NewRequest("POST", os.Getenv("K_SINK"), strings.NewReader(os.Args[1]))
			r.Header.Set("Ce-Type", "beat"); r.Header.Set("Ce-Source", os.Getenv("K_CE_OVERRIDES"))
			resp, err := http.DefaultClient.Do(r)
			fmt.Println("sent", err)
			if err == nil { resp.Body.Close() }
			time.Sleep(100 * time.Millisecond)
		}
	}
	http.ListenAndServe("127.0.0.1:" + os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			fmt.Fprint(w, os.Getenv("K_SINK"), " ", os.Getenv("K_CE_OVERRIDES"))
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("got %s %s %s %s %s\n", r.Header.Get("Ce-Type"), r.Header.Get("Ce-Source"), r.Header.Get("Ce-Team"), r.URL.Path, body)
		w.WriteHeader(202)
	}))
}
`

func eventingObject(kind, name, spec string) string {
	version := "sources.knative.dev/v1"
	if kind == "Broker" || kind == "Trigger" {
		version = "eventing.knative.dev/v1"
	}
	return fmt.Sprintf("---\napiVersion: %s\nkind: %s\nmetadata: {name: %s}\nspec: %s\n", version, kind, name, spec)
}

// toService is a destination: a Service, and a path.
func toService(name string) string {
	return "{ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: " + name + "}, uri: /events}"
}

// condition returns the status, the reason and the message of a condition of an object of the API.
func (w *world) condition(r schema.GroupResource, name, kind string) string {
	w.t.Helper()
	c := objects.ConditionOf(w.object(r, name), kind)
	text := fmt.Sprint(c["status"])
	for _, field := range []string{"reason", "message"} {
		if c[field] != nil {
			text += " " + c[field].(string)
		}
	}
	return text
}

func (w *world) field(r schema.GroupResource, name string, path ...string) string {
	w.t.Helper()
	text, _, _ := unstructured.NestedString(w.object(r, name).Object, path...)
	return text
}

// Brokers and triggers of files and of clients are in the API with the addresses of their sinks, and last.
func TestBrokersAndTriggersAreKnown(t *testing.T) {
	t.Parallel()
	const address = "http://broker-ingress.knative-eventing.svc.cluster.local/default/example-broker"
	w := withAPI(t, eventingObject("Broker", "example-broker", "{delivery: {deadLetterSink: "+toService("dead")+"}}")).start()
	if got := w.field(brokers, "example-broker", "status", "address", "url"); got != address {
		t.Errorf("the broker is at %s", got)
	}
	if got := w.condition(brokers, "example-broker", "DeadLetterSinkResolved"); got != "False Unable to get the dead letter sink's URI "+
		`failed to get object default/dead: services.serving.knative.dev "dead" not found` {
		t.Error(got)
	}
	w.creates(triggers, eventingObject("Trigger", "player", "{broker: example-broker, subscriber: "+toService("player")+"}"))
	w.creates(triggers, eventingObject("Trigger", "other", "{broker: none, subscriber: {uri: 'http://localhost:1/'}}"))
	w.sees("sluice: Trigger player is not ready: ", `sluice: Trigger other is not ready: Broker "none" does not exist`)
	w.creates(services, service("dead", "", "x", ""))
	w.creates(services, service("player", "", "x", ""))
	for _, kind := range []string{"Ready", "BrokerReady", "SubscriptionReady", "SubscriberResolved", "DeadLetterSinkResolved", "DependencyReady"} {
		const want = "True"
		if got := w.condition(triggers, "player", kind); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
	const sink = ".default.svc.cluster.local/events"
	if got := w.field(triggers, "player", "status", "subscriberUri"); got != "http://player"+sink {
		t.Error(got)
	}
	if got := w.field(triggers, "player", "status", "deadLetterSinkUri"); got != "http://dead"+sink {
		t.Error(got)
	}
	if got := w.object(triggers, "player").GetLabels()[manifest.BrokerLabel]; got != "example-broker" {
		t.Error(got)
	}
	if got := w.condition(triggers, "other", "Ready"); got != `False BrokerDoesNotExist Broker "none" does not exist` {
		t.Error(got)
	}
	before := w.object(triggers, "player")

	w = w.again().start()
	if after := w.object(triggers, "player"); after.GetUID() != before.GetUID() || after.GetGeneration() != 1 {
		t.Errorf("%v, before %v", after, before)
	}
	if got := w.field(triggers, "player", "status", "subscriberUri"); got != "http://player"+sink {
		t.Error(got)
	}
	if err := w.resource(services).Delete(t.Context(), "player", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.condition(triggers, "player", "SubscriptionReady"); got != "Unknown" {
		t.Error(got)
	}
	if got := w.condition(triggers, "player", "SubscriberResolved"); !strings.HasPrefix(got, "False Unable to get the Subscriber's URI") || w.field(triggers, "player", "status", "subscriberUri") != "" {
		t.Error(got)
	}
	w.write("# nothing\n")
	w.eventually("the broker is gone", func() bool {
		_, err := w.resource(brokers).Get(t.Context(), "example-broker", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	w.eventually("the trigger knows", func() bool {
		return strings.HasPrefix(w.condition(triggers, "player", "BrokerReady"), "False BrokerDoesNotExist")
	})
}

// sends sends an event to a broker, at an address of this machine, which takes it.
func (w *world) sendsEvent(to, kind, subject string) {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+w.server.config.addr()+to, strings.NewReader("about "+subject))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range map[string]string{"specversion": "1.0", "id": subject, "source": "/test", "type": kind, "subject": subject, "team": "a"} {
		req.Header.Set("Ce-"+name, value)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusAccepted {
		w.t.Fatalf("%d %s", resp.StatusCode, body)
	}
}

// The notes' broker and triggers: events go through filters to Services at zero, and to the dead letter sink when these fail. What nobody can take
// yet waits, also over a restart.
func TestEventsAreDelivered(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(eventApp)
	app := command(service("player", "", "x", ""), b.file)
	to := "{ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: player}, uri: "
	w := withAPI(t, app+eventingObject("Broker", "example-broker", "{}")+
		eventingObject("Trigger", "orders", "{broker: example-broker, filter: {attributes: {type: order}}, subscriber: "+to+"/orders}}")+
		eventingObject("Trigger", "sales", "{broker: example-broker, filters: [{cesql: \"type = 'sale' AND subject LIKE 'b%'\"}], subscriber: "+to+"/sales}}")+
		eventingObject("Trigger", "fails", "{broker: example-broker, filters: [{exact: {type: fails}}], subscriber: {uri: 'http://127.0.0.1:1/'}, "+
			"delivery: {retry: 1, backoffDelay: PT0.01S, deadLetterSink: "+to+"/dead}}}")+
		eventingObject("PingSource", "ping", "{schedule: '* * * * * *', data: tick, sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: example-broker}}}")+
		eventingObject("Trigger", "pings", "{broker: example-broker, filter: {attributes: {type: dev.knative.sources.ping}}, subscriber: "+to+"/pings}}")).start()
	for _, name := range []string{"orders", "sales", "fails"} {
		w.eventually(name+" is ready", func() bool { return w.condition(triggers, name, "Ready") == "True" })
	}
	const broker = "/default/example-broker"
	w.sendsEvent(broker, "order", "apples")
	w.sendsEvent(broker, "sale", "bananas")
	w.sendsEvent(broker, "sale", "cherries")
	w.sendsEvent(broker, "fails", "dates")
	w.sees("got order /test a /orders about apples", "got sale /test a /sales about bananas", "got fails /test a /dead about dates",
		"got dev.knative.sources.ping /apis/v1/namespaces/default/pingsources/ping  /pings tick")
	if text := w.out.String(); strings.Contains(text, "about cherries") || strings.Contains(text, "/orders about bananas") {
		t.Error("a filter lets too much through")
	}

	w.creates(triggers, eventingObject("Trigger", "later", "{broker: example-broker, filter: {attributes: {type: later}}, subscriber: "+toService("later")+"}"))
	w.sendsEvent(broker, "later", "elderberries")
	w = w.again().start()
	w.creates(services, strings.Replace(app, "name: player}", "name: later}", 1))
	w.sees("got later /test a /events about elderberries")
	err := w.resource(triggers).Delete(t.Context(), "later", metav1.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for field, spec := range map[string]string{
		"spec.filters[0].cesql":                "{broker: b, filters: [{cesql: 'type ='}], subscriber: {uri: 'http://a'}}",
		"metadata.annotations[sluice.dev/key]": "{broker: b, subscriber: {uri: 'http://a'}}",
	} {
		o := decoded(t, eventingObject("Trigger", "wrong", spec))
		if strings.HasPrefix(field, "metadata") {
			o.SetAnnotations(map[string]string{"sluice.dev/key": "LOWER("})
		}
		_, err := w.resource(triggers).Create(t.Context(), o, metav1.CreateOptions{})
		if status, ok := err.(apierrors.APIStatus); !ok || !apierrors.IsInvalid(err) || status.Status().Details.Causes[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := w.resource(brokers).Delete(t.Context(), "example-broker", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	resp, err := w.client.Post("http://"+w.server.config.addr()+broker, "text/plain", nil)
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("a broker that is gone: %v, %v", resp, err)
	}
	resp.Body.Close()
}

// What a trigger drops is an event of the API.
func TestDroppedEvents(t *testing.T) {
	t.Parallel()
	w := withAPI(t, eventingObject("Broker", "b", "{}")+
		eventingObject("Trigger", "t", "{broker: b, subscriber: {uri: 'http://127.0.0.1:1/'}, delivery: {retry: 0}}"))
	bounds := limits.OfProcess()
	bounds.EventBytes = 1 << 10
	w.config.Limits = &bounds
	w.start()
	w.eventually("the trigger is ready", func() bool { return w.condition(triggers, "t", "Ready") == "True" })
	w.sees("sluice: events for Broker b:  http://localhost:" + strconv.Itoa(w.server.config.Port) + "/default/b")
	large, err := w.client.Post("http://"+w.server.config.addr()+"/default/b", "application/cloudevents+json", strings.NewReader(strings.Repeat("x", 1<<10+1)))
	if err != nil || large.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("a large event: %v, %v", large, err)
	}
	large.Body.Close()
	w.sendsEvent("/default/b", "order", "apples")
	w.eventually("what was dropped", func() bool {
		list, err := w.resource(schema.GroupResource{Resource: "events"}).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.kind=Trigger,involvedObject.name=t"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			message, _, _ := unstructured.NestedString(e.Object, "message")
			if e.Object["reason"] == "EventDropped" && e.Object["type"] == "Warning" && strings.HasPrefix(message, "an event could not be delivered to http://127.0.0.1:1/: status 500, ") {
				return true
			}
		}
		return false
	})
}

// The events of a key go to one replica, those of others to others.
func TestEventsOfAKeyGoToOneReplica(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(eventApp)
	w := withAPI(t, command(annotated("player", "x", "autoscaling.knative.dev/min-scale: '3'"), b.file)+eventingObject("Broker", "b", "{}")+
		strings.Replace(eventingObject("Trigger", "t", "{broker: b, subscriber: "+toService("player")+"}"), "name: t}", "name: t, annotations: {sluice.dev/key: subject}}", 1)).start()
	w.eventually("three replicas", func() bool {
		n, _, _ := unstructured.NestedInt64(w.object(revisions, "player-00001").Object, "status", "actualReplicas")
		return n == 3
	})
	const keys, events = 12, 5
	for range events {
		for key := range keys {
			w.sendsEvent("/default/b", "order", fmt.Sprintf("key-%d.", key))
		}
	}
	w.eventually("all of them", func() bool { return strings.Count(w.out.String(), "| got order") >= keys*events })
	replicas := map[string]bool{}
	for key := range keys {
		of := map[string]bool{}
		for line := range strings.Lines(w.out.String()) {
			if strings.Contains(line, fmt.Sprintf("about key-%d.", key)) {
				replica, _, _ := strings.Cut(line, " ")
				of[replica], replicas[replica] = true, true
			}
		}
		if len(of) != 1 {
			t.Errorf("key %d was in %v", key, of)
		}
	}
	if len(replicas) < 2 {
		t.Errorf("all keys were in %v", replicas)
	}
}

func TestWhatOfEventingCantBeChanged(t *testing.T) {
	t.Parallel()
	w := withAPI(t, eventingObject("Broker", "b", "{}")+eventingObject("Trigger", "t", "{broker: b, subscriber: {uri: 'http://a'}}")).start()
	patch := func(r schema.GroupResource, name, patch string) error {
		_, err := w.resource(r).Patch(t.Context(), name, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{})
		return err
	}
	err := patch(triggers, "t", `{"spec": {"broker": "c"}}`)
	if status, ok := err.(apierrors.APIStatus); !ok || !apierrors.IsInvalid(err) || status.Status().Details.Causes[0].Field != "spec.broker" {
		t.Error(err)
	}
	if err := patch(brokers, "b", `{"metadata": {"annotations": {"eventing.knative.dev/broker.class": "Kafka"}}}`); !apierrors.IsInvalid(err) {
		t.Error(err)
	}
	if err := patch(triggers, "t", `{"spec": {"subscriber": {"uri": "http://b/c"}}}`); err != nil {
		t.Error(err)
	}
	if got := w.field(triggers, "t", "status", "subscriberUri"); got != "http://b/c" {
		t.Error(got)
	}
	w.write(eventingObject("Broker", "b", "{}") + eventingObject("Trigger", "t", "{broker: c, subscriber: {uri: 'http://a'}}"))
	w.sees("nothing applied: " + w.file + ":7: field spec.broker: can't be changed: delete the Trigger, or give the new one another name")
	w.write("# nothing\n")
	w.sees("manifests applied")
}

// An event of a PingSource wakes its sink, which is at zero.
func TestPingSource(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(eventApp)
	w := newWorld(t, eventingObject("PingSource", "ping", "{schedule: '* * * * * *', data: tick, ceOverrides: {extensions: {team: a}}, sink: "+toService("player")+"}")).start()
	w.sees(`sluice: PingSource ping is not ready: failed to get object default/player: services.serving.knative.dev "player" not found`)
	ping := eventingObject("PingSource", "ping", "{schedule: '* * * * * *', data: tock, sink: "+toService("player")+"}")
	app := command(service("player", "", "x", ""), b.file)
	w.write(app + ping)
	w.sees("sluice: PingSource ping is ready", "| got dev.knative.sources.ping /apis/v1/namespaces/default/pingsources/ping  /events tock")
	w.write(app)
	w.sees("manifests applied")
}

// A ContainerSource runs while its sink is there, with the sink's address in its environment, and is a pod of the API.
func TestContainerSource(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(eventApp)
	w := withAPI(t, command(service("player", "", "x", ""), b.file)).start()
	source := func(data, sink string) string {
		return eventingObject("ContainerSource", "beats", "{template: {spec: {containers: [{command: ["+b.file+", "+data+"]}]}}, ceOverrides: {extensions: {team: a}}, sink: "+sink+"}")
	}
	w.creates(containerSources, source("one", toService("none")))
	if got := w.condition(containerSources, "beats", "Ready"); !strings.HasPrefix(got, "False NoAddressable") {
		t.Error(got)
	}
	update := func(manifest string) {
		t.Helper()
		if _, err := w.resource(containerSources).Apply(t.Context(), "beats", decoded(t, manifest), metav1.ApplyOptions{FieldManager: "test", Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	update(source("two", toService("player")))
	w.sees(`| got beat {"extensions":{"team":"a"}}  /events two`)
	if strings.Contains(w.out.String(), "events one") {
		t.Error("it ran without its sink")
	}
	w.eventually("ready", func() bool { return w.condition(containerSources, "beats", "Ready") == "True" })
	list, err := w.resource(pods).List(t.Context(), metav1.ListOptions{LabelSelector: "sources.knative.dev/containerSource=beats"})
	if err != nil || len(list.Items) != 1 || metav1.GetControllerOf(&list.Items[0]).Name != "beats" {
		t.Fatalf("%v, %v", list, err)
	}
	if status, _, _ := unstructured.NestedString(list.Items[0].Object, "status", "phase"); status != "Running" {
		t.Errorf("its pod is %s", status)
	}
	update(source("three", toService("player")))
	w.sees(" three")
	update(strings.Replace(source("four", toService("player")), "["+b.file, "[/bin/false", 1))
	w.eventually("not ready", func() bool {
		return strings.HasPrefix(w.condition(containerSources, "beats", "Ready"), "False ExitCode1")
	})

	w = w.again().start()
	w.eventually("not ready again", func() bool {
		return strings.HasPrefix(w.condition(containerSources, "beats", "Ready"), "False ExitCode1")
	})
	if err := w.resource(containerSources).Delete(t.Context(), "beats", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("no pod", func() bool {
		list, err := w.resource(pods).List(t.Context(), metav1.ListOptions{LabelSelector: "sources.knative.dev/containerSource=beats"})
		return err == nil && len(list.Items) == 0
	})
	missing := source("x", "{uri: 'http://a'}")
	_, err = w.resource(containerSources).Create(t.Context(), decoded(t, strings.Replace(missing, "command: ["+b.file+", x]", "image: example.com/none", 1)), metav1.CreateOptions{})
	if status, ok := err.(apierrors.APIStatus); !ok || !apierrors.IsInvalid(err) || status.Status().Details.Causes[0].Field != "spec.template.spec.containers[0].image" {
		t.Error(err)
	}
}

// A SinkBinding makes a revision with its variables, whose processes get an address that needs no names of a cluster.
func TestSinkBinding(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(eventApp)
	w := withAPI(t, "").start()
	w.creates(services, command(service("app", "", "x", ""), b.file))
	w.creates(services, command(service("player", "", "x", ""), b.file))
	w.gets("app", "200  ")
	w.creates(sinkBindings, eventingObject("SinkBinding", "bind", "{subject: {apiVersion: serving.knative.dev/v1, kind: Service, name: app}, "+
		"ceOverrides: {extensions: {team: a}}, sink: "+toService("player")+"}"))
	if got := w.condition(sinkBindings, "bind", "Ready"); got != "True" {
		t.Error(got)
	}
	var got string
	w.eventually("the sink", func() bool { got, _ = w.get("app"); return strings.Contains(got, "http") })
	got = strings.TrimPrefix(got, "200 ")
	sink, overrides, _ := strings.Cut(got, " ")
	if !strings.HasPrefix(sink, "http://127.0.0.1:") || !strings.HasSuffix(sink, "/player.default.svc.cluster.local/events") || overrides != `{"extensions":{"team":"a"}}` {
		t.Errorf("got %s", got)
	}
	resp, err := w.client.Post(sink, "text/plain", strings.NewReader("by hand"))
	if err != nil || resp.StatusCode != 202 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	w.sees("/events by hand")
	env := func(revision string) string {
		list, _, _ := unstructured.NestedSlice(w.object(revisions, revision).Object, "spec", "containers")
		return fmt.Sprint(list[0].(map[string]any)["env"])
	}
	if want := `map[name:K_SINK value:http://player.default.svc.cluster.local/events] map[name:K_CE_OVERRIDES value:{"extensions":{"team":"a"}}]]`; !strings.HasSuffix(env("app-00002"), want) {
		t.Errorf("got %s, want %s", env("app-00002"), want)
	}
	w = w.again().start()
	if got := w.field(services, "app", "status", "latestCreatedRevisionName"); got != "app-00002" {
		t.Errorf("after a restart the latest revision is %s", got)
	}
	if err := w.resource(sinkBindings).Delete(t.Context(), "bind", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("no sink", func() bool { got, _ := w.get("app"); return got == "200  " })
	if strings.Contains(env("app-00003"), "K_SINK") {
		t.Error(env("app-00003"))
	}
	w.creates(sinkBindings, eventingObject("SinkBinding", "other", "{subject: {apiVersion: batch/v1, kind: Job, name: app}, sink: "+toService("player")+"}"))
	if got := w.condition(sinkBindings, "other", "Ready"); !strings.HasPrefix(got, "False SubjectMissing Job of batch/v1 is not served by the quickstart") {
		t.Error(got)
	}
}

// A namespace takes its brokers, triggers and sources with it.
func TestNamespaceOfEventing(t *testing.T) {
	t.Parallel()
	w := withAPI(t, "").start()
	if _, err := w.allNamespaces(namespaces).Create(t.Context(), decoded(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for r, manifest := range map[schema.GroupResource]string{
		brokers:     eventingObject("Broker", "b", "{}"),
		triggers:    eventingObject("Trigger", "t", "{broker: b, subscriber: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: b}}}"),
		pingSources: eventingObject("PingSource", "p", "{sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: b, namespace: shop}}}"),
	} {
		if _, err := w.allNamespaces(r).Namespace("shop").Create(t.Context(), decoded(t, manifest), metav1.CreateOptions{FieldValidation: "Strict"}); err != nil {
			t.Fatal(err)
		}
	}
	ping, err := w.allNamespaces(pingSources).Namespace("shop").Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := unstructured.NestedString(ping.Object, "status", "sinkUri"); got != "http://broker-ingress.knative-eventing.svc.cluster.local/shop/b" {
		t.Error(got)
	}
	if err := w.allNamespaces(namespaces).Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []schema.GroupResource{brokers, triggers, pingSources} {
		if list, err := w.allNamespaces(r).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
			t.Errorf("%s: %v, %v", r.Resource, list, err)
		}
	}
}
