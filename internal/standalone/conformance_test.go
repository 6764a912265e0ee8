package standalone

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// The statements of Knative's specification about the API of brokers and triggers, by their numbers in docs/events.md.
func TestConformanceOfEventing(t *testing.T) {
	w := withAPI(t, "").start()
	rule := func(number string, test func(t *testing.T, w *world)) contracttest.Rule {
		return contracttest.Rule{Says: number, Test: func(t *testing.T) {
			of := *w
			of.t = t
			test(t, &of)
		}}
	}
	contracttest.Follow(t, []contracttest.Rule{
		rule("C1", testMalformedObjects),
		rule("C2", testBrokerHasAnAddress),
		rule("C6", testEveryClassIsServed),
		rule("C8", testClassAndConfigCantBeChanged),
		rule("C9", testTriggerWithoutABrokerThatIsReady),
		rule("C11", testSubscriberIsResolved),
		rule("C12", testSubscriberCantBeResolved),
		rule("C14", testDeadLetterSinkIsResolved),
		rule("C15", testBrokerOfATriggerCantBeChanged),
		rule("C16", testWhatOfATriggerCanBeChanged),
		rule("C17", testReadyTriggersGetTheirEvents),
		rule("C19", testServiceOfTheCore),
		rule("C20", testURIIsRelativeToRef),
		rule("C39", testAllFieldsAreKept),
		rule("C40", testFewestFields),
		rule("C42", testStatusIsTheServers),
		rule("C44", testStatusIsOfItsGeneration),
		rule("B7", testTriggerBecomesReady),
		rule("E2", testGenerationIsOfTheSpec),
		rule("E5", testConditionsAreDescribed),
		rule("E6", testConditionsOfEventing),
	})
}

// changes applies a merge patch.
func (w *world) changes(r schema.GroupResource, name, patch string) error {
	_, err := w.resource(r).Patch(w.t.Context(), name, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{FieldValidation: "Strict"})
	return err
}

func (w *world) deletes(r schema.GroupResource, name string) {
	w.t.Helper()
	if err := w.resource(r).Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func trigger(name, spec string) string { return eventingObject("Trigger", name, spec) }

func testMalformedObjects(t *testing.T, w *world) {
	const to = "subscriber: {uri: 'http://a/'}"
	for spec, field := range map[string]string{
		"{" + to + "}":                       "spec.broker",
		"{broker: b}":                        "spec.subscriber",
		"{broker: b, subscriber: {}}":        "spec.subscriber",
		"{broker: b, filter: 1, " + to + "}": "spec.filter",
		"{broker: b, filter: {attributes: {Type: x}}, " + to + "}":                           "spec.filter.attributes.Type",
		"{broker: b, delivery: {retry: -1}, " + to + "}":                                     "spec.delivery.retry",
		"{broker: b, delivery: {backoffPolicy: random}, " + to + "}":                         "spec.delivery.backoffPolicy",
		"{broker: b, delivery: {backoffDelay: 1s}, " + to + "}":                              "spec.delivery.backoffDelay",
		"{broker: b, delivery: {deadLetterSink: {uri: /x}}, " + to + "}":                     "spec.delivery.deadLetterSink.uri",
		"{broker: b, subscriber: {ref: {kind: Service, name: a}}}":                           "spec.subscriber.ref.apiVersion",
		"{broker: b, subscriber: {ref: {apiVersion: v1, name: a}}}":                          "spec.subscriber.ref.kind",
		"{broker: b, subscriber: {ref: {apiVersion: v1, kind: Service}}}":                    "spec.subscriber.ref.name",
		"{broker: b, subscriber: {ref: {apiVersion: v1, kind: Service, name: 'A b'}}}":       "spec.subscriber.ref.name",
		"{broker: b, subscriber: {ref: {apiVersion: v1, kind: Service, name: a}, uri: ':'}}": "spec.subscriber.uri",
	} {
		_, err := w.resource(triggers).Create(t.Context(), decoded(t, trigger("malformed", spec)), metav1.CreateOptions{})
		status, ok := err.(apierrors.APIStatus)
		if !ok || !apierrors.IsInvalid(err) || !slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool { return c.Field == field }) {
			t.Errorf("%s: %v, want one of %s", spec, err, field)
		}
	}
}

func testBrokerHasAnAddress(t *testing.T, w *world) {
	w.creates(brokers, eventingObject("Broker", "addressable", "{}"))
	if got := w.field(brokers, "addressable", "status", "address", "url"); got != "http://broker-ingress.knative-eventing.svc.cluster.local/default/addressable" {
		t.Error(got)
	}
}

func testEveryClassIsServed(t *testing.T, w *world) {
	w.creates(brokers, eventingObject("Broker", "plain", "{}"))
	if got := w.object(brokers, "plain").GetAnnotations()[manifest.BrokerClassKey]; got != "MTChannelBasedBroker" {
		t.Errorf("the default class is %q", got)
	}
	other := decoded(t, eventingObject("Broker", "other", "{}"))
	other.SetAnnotations(map[string]string{manifest.BrokerClassKey: "Kafka"})
	if _, err := w.resource(brokers).Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.object(brokers, "other").GetAnnotations()[manifest.BrokerClassKey]; got != "Kafka" || w.field(brokers, "other", "status", "address", "url") == "" {
		t.Errorf("class %q", got)
	}
}

func testClassAndConfigCantBeChanged(t *testing.T, w *world) {
	broker := eventingObject("Broker", "fixed", "{config: {apiVersion: v1, kind: ConfigMap, name: a}}")
	w.creates(brokers, broker)
	for _, patch := range []string{
		`{"metadata": {"annotations": {"eventing.knative.dev/broker.class": "Kafka"}}}`, `{"spec": {"config": {"name": "b"}}}`, `{"spec": {"config": null}}`,
	} {
		if err := w.changes(brokers, "fixed", patch); !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", patch, err)
		}
	}
	if err := w.changes(brokers, "fixed", `{"spec": {"delivery": {"retry": 3}}}`); err != nil {
		t.Error(err)
	}
	w.deletes(brokers, "fixed")
	w.creates(brokers, strings.Replace(broker, "name: a", "name: b", 1))
}

// The broker may come after its trigger, and a trigger of one that isn't ready isn't either.
func testTriggerWithoutABrokerThatIsReady(t *testing.T, w *world) {
	w.creates(triggers, trigger("early", "{broker: late, subscriber: {uri: 'http://a/'}}"))
	if got := w.condition(triggers, "early", "Ready"); got != `False BrokerDoesNotExist Broker "late" does not exist` {
		t.Error(got)
	}
	w.creates(brokers, eventingObject("Broker", "late", "{delivery: {deadLetterSink: "+toService("missing")+"}}"))
	broker := w.condition(brokers, "late", "Ready")
	if got := w.condition(triggers, "early", "BrokerReady"); !strings.HasPrefix(broker, "False ") || got != broker {
		t.Errorf("the broker is %s, its trigger has %s", broker, got)
	}
	if got := w.condition(triggers, "early", "Ready"); got != broker {
		t.Errorf("the broker is %s, its trigger %s", broker, got)
	}
}

func testSubscriberIsResolved(t *testing.T, w *world) {
	w.creates(triggers, trigger("resolved", "{broker: b, subscriber: {uri: 'http://a.example/b?c=d'}}"))
	if got := w.field(triggers, "resolved", "status", "subscriberUri"); got != "http://a.example/b?c=d" {
		t.Error(got)
	}
	w.creates(triggers, trigger("chained", "{broker: b, subscriber: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: next}}}"))
	w.creates(brokers, eventingObject("Broker", "next", "{}"))
	if got, want := w.field(triggers, "chained", "status", "subscriberUri"), w.field(brokers, "next", "status", "address", "url"); got != want {
		t.Errorf("%q, and the broker is at %q", got, want)
	}
}

func testSubscriberCantBeResolved(t *testing.T, w *world) {
	for name, ref := range map[string]string{
		"no-service": "{apiVersion: serving.knative.dev/v1, kind: Service, name: nobody}",
		"no-broker":  "{apiVersion: eventing.knative.dev/v1, kind: Broker, name: nobody}",
		"no-kind":    "{apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: nobody}",
		"elsewhere":  "{apiVersion: serving.knative.dev/v1, kind: Service, name: nobody, namespace: other}",
	} {
		w.creates(triggers, trigger(name, "{broker: b, subscriber: {ref: "+ref+", uri: /x}}"))
		if got := w.condition(triggers, name, "SubscriberResolved"); !strings.HasPrefix(got, "False Unable to get the Subscriber's URI ") || !strings.Contains(got, "nobody") {
			t.Errorf("%s: %s", name, got)
		}
		if ready, uri := w.condition(triggers, name, "Ready"), w.field(triggers, name, "status", "subscriberUri"); !strings.HasPrefix(ready, "False") || uri != "" {
			t.Errorf("%s: %s, %q", name, ready, uri)
		}
	}
}

func testDeadLetterSinkIsResolved(t *testing.T, w *world) {
	w.creates(triggers, trigger("letters", "{broker: b, subscriber: {uri: 'http://a'}, delivery: {deadLetterSink: "+toService("letters")+"}}"))
	if got, uri := w.condition(triggers, "letters", "DeadLetterSinkResolved"), w.field(triggers, "letters", "status", "deadLetterSinkUri"); !strings.HasPrefix(got, "False ") || uri != "" {
		t.Errorf("%s, %q", got, uri)
	}
	if got := w.condition(triggers, "letters", "Ready"); !strings.HasPrefix(got, "False ") {
		t.Error(got)
	}
	w.creates(services, service("letters", "", "x", ""))
	if got, uri := w.condition(triggers, "letters", "DeadLetterSinkResolved"), w.field(triggers, "letters", "status", "deadLetterSinkUri"); got != "True" || uri != "http://letters.default.svc.cluster.local/events" {
		t.Errorf("%s, %q", got, uri)
	}
}

func testBrokerOfATriggerCantBeChanged(t *testing.T, w *world) {
	w.creates(triggers, trigger("bound", "{broker: b, subscriber: {uri: 'http://a'}}"))
	for _, patch := range []string{`{"spec": {"broker": "c"}}`, `{"spec": {"broker": null}}`, `{"spec": {"broker": ""}}`} {
		if err := w.changes(triggers, "bound", patch); !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", patch, err)
		}
	}
	w.deletes(triggers, "bound")
	w.creates(triggers, trigger("bound", "{broker: c, subscriber: {uri: 'http://a'}}"))
}

func testWhatOfATriggerCanBeChanged(t *testing.T, w *world) {
	w.creates(triggers, trigger("free", "{broker: b, subscriber: {uri: 'http://a'}}"))
	for i, patch := range []string{
		`{"spec": {"subscriber": {"uri": "http://b"}}}`, `{"spec": {"filter": {"attributes": {"type": "x"}}}}`, `{"spec": {"filters": [{"prefix": {"type": "x"}}]}}`,
		`{"spec": {"delivery": {"retry": 2, "backoffPolicy": "linear", "backoffDelay": "PT1S", "deadLetterSink": {"uri": "http://c"}}}}`, `{"spec": {"delivery": null}}`,
	} {
		if err := w.changes(triggers, "free", patch); err != nil {
			t.Errorf("%s: %v", patch, err)
		}
		if got := w.object(triggers, "free").GetGeneration(); got != int64(i+2) {
			t.Errorf("%s: generation %d", patch, got)
		}
	}
	if got := w.field(triggers, "free", "status", "subscriberUri"); got != "http://b" {
		t.Error(got)
	}
}

// From the moment in which a trigger is ready it gets every event that its broker takes, at the address of its status.
func testReadyTriggersGetTheirEvents(t *testing.T, w *world) {
	got := make(chan string, 100)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path + " " + r.Header.Get("Ce-Subject") }))
	defer sink.Close()
	w.creates(brokers, eventingObject("Broker", "ready", "{}"))
	for i := range 20 {
		name := fmt.Sprint("ready-", i)
		w.creates(triggers, trigger(name, "{broker: ready, filter: {attributes: {subject: "+name+"}}, subscriber: {uri: '"+sink.URL+"/"+name+"'}}"))
		w.eventually(name+" is ready", func() bool { return w.condition(triggers, name, "Ready") == "True" })
		w.sendsEvent("/default/ready", "x", name)
		select {
		case delivered := <-got:
			if delivered != "/"+name+" "+name || w.field(triggers, name, "status", "subscriberUri") != sink.URL+"/"+name {
				t.Errorf("%s: %s was delivered", name, delivered)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the event of %s never came", name)
		}
	}
}

// A trigger is ready when its broker is, whichever came first.
func testTriggerBecomesReady(t *testing.T, w *world) {
	w.creates(triggers, trigger("hopeful", "{broker: hoped, subscriber: {uri: 'http://a'}}"))
	if got := w.condition(triggers, "hopeful", "Ready"); !strings.HasPrefix(got, "False ") {
		t.Error(got)
	}
	w.creates(brokers, eventingObject("Broker", "hoped", "{}"))
	w.eventually("the broker is ready", func() bool { return w.condition(brokers, "hoped", "Ready") == "True" })
	w.sendsEvent("/default/hoped", "x", "y")
	w.eventually("the trigger is ready", func() bool { return w.condition(triggers, "hopeful", "Ready") == "True" })
	w.deletes(brokers, "hoped")
	w.eventually("the trigger isn't ready", func() bool { return strings.HasPrefix(w.condition(triggers, "hopeful", "Ready"), "False ") })
}

func testServiceOfTheCore(t *testing.T, w *world) {
	w.creates(services, service("core", "", "x", ""))
	w.creates(triggers, trigger("core", "{broker: b, subscriber: {ref: {apiVersion: v1, kind: Service, name: core}}}"))
	if got := w.field(triggers, "core", "status", "subscriberUri"); got != "http://core.default.svc.cluster.local" {
		t.Error(got)
	}
}

func testURIIsRelativeToRef(t *testing.T, w *world) {
	w.creates(services, service("base", "", "x", ""))
	w.creates(brokers, eventingObject("Broker", "base", "{}"))
	const (
		ofService = "apiVersion: serving.knative.dev/v1, kind: Service, name: base"
		ofBroker  = "apiVersion: eventing.knative.dev/v1, kind: Broker, name: base"
		service   = "http://base.default.svc.cluster.local"
		broker    = "http://broker-ingress.knative-eventing.svc.cluster.local/"
	)
	for i, c := range []struct{ ref, uri, want string }{
		{ofService, "/update", service + "/update"},
		{ofService, "update/now", service + "/update/now"},
		{ofService, "?a=b", service + "?a=b"},
		{ofService, "", service},
		{ofBroker, "", broker + "default/base"},
		{ofBroker, "other", broker + "default/other"},
		{ofBroker, "/shop/other", broker + "shop/other"},
	} {
		name := fmt.Sprint("relative-", i)
		w.creates(triggers, trigger(name, "{broker: b, subscriber: {ref: {"+c.ref+"}, uri: '"+c.uri+"'}}"))
		if got := w.field(triggers, name, "status", "subscriberUri"); got != c.want {
			t.Errorf("%q: %s, want %s", c.uri, got, c.want)
		}
	}
}

func testAllFieldsAreKept(t *testing.T, w *world) {
	const destination = "{ref: {apiVersion: v1, kind: Service, name: a, namespace: default}, uri: /x}"
	const delivery = "{deadLetterSink: " + destination + ", retry: 3, backoffDelay: PT1S, backoffPolicy: linear}"
	for _, c := range []struct {
		r    schema.GroupResource
		text string
	}{
		{brokers, eventingObject("Broker", "everything", "{config: {apiVersion: v1, kind: ConfigMap, name: c, namespace: default}, delivery: "+delivery+"}")},
		{triggers, trigger("everything", "{broker: everything, filter: {attributes: {type: x, shop: ''}}, subscriber: "+destination+", delivery: "+delivery+"}")},
	} {
		w.creates(c.r, c.text)
		got, want := w.object(c.r, "everything"), decoded(t, c.text)
		if !reflect.DeepEqual(got.Object["spec"], want.Object["spec"]) {
			t.Errorf("%s:\n%v, want\n%v", c.r.Resource, got.Object["spec"], want.Object["spec"])
		}
	}
}

func testFewestFields(t *testing.T, w *world) {
	w.creates(brokers, "{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {name: few}}")
	w.creates(triggers, trigger("few", "{broker: few, subscriber: {uri: 'http://a'}}"))
}

func testStatusIsTheServers(t *testing.T, w *world) {
	const status = "\nstatus: {address: {url: 'http://evil'}, subscriberUri: 'http://evil', deadLetterSinkUri: 'http://evil', conditions: [{type: Evil, status: 'True'}], observedGeneration: 7}"
	w.creates(brokers, eventingObject("Broker", "own", "{delivery: {deadLetterSink: {uri: 'http://dead'}}}")+status)
	w.creates(triggers, trigger("own", "{broker: own, subscriber: {uri: 'http://a'}, delivery: {deadLetterSink: {uri: 'http://dead'}}}")+status)
	for _, r := range []schema.GroupResource{brokers, triggers} {
		err := w.changes(r, "own", `{"status": {"subscriberUri": "http://evil", "conditions": []}}`)
		o := w.object(r, "own")
		if text := fmt.Sprint(o.Object["status"]); strings.Contains(strings.ToLower(text), "evil") || !strings.Contains(text, "deadLetterSinkUri:http://dead") ||
			!strings.Contains(text, "observedGeneration:1") || objects.ConditionOf(o, "Ready") == nil {
			t.Errorf("%s: %s, %v", r.Resource, text, err)
		}
	}
}

// Whoever watches sees no status that says it is of a generation, and has what an older one asked for.
func testStatusIsOfItsGeneration(t *testing.T, w *world) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen, err := w.resource(triggers).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=watched"})
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Stop()
	w.creates(triggers, trigger("watched", "{broker: b, subscriber: {uri: 'http://a/1'}}"))
	const last = 6
	for i := 2; i <= last; i++ {
		subscriber := fmt.Sprintf(`{"uri": "http://a/%d", "ref": null}`, i)
		if i%2 == 0 {
			subscriber = `{"uri": null, "ref": {"apiVersion": "v1", "kind": "Service", "name": "nobody"}}`
		}
		if err := w.changes(triggers, "watched", `{"spec": {"subscriber": `+subscriber+`}}`); err != nil {
			t.Fatal(err)
		}
	}
	for event := range seen.ResultChan() {
		o, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			t.Fatalf("%v", event)
		}
		observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
		if observed == 0 {
			continue // not yet
		}
		uri, _, _ := unstructured.NestedString(o.Object, "status", "subscriberUri")
		resolved := objects.ConditionOf(o, "SubscriberResolved")["status"]
		wantURI, want := fmt.Sprintf("http://a/%d", observed), "True"
		if observed%2 == 0 {
			wantURI, want = "", "False"
		}
		if uri != wantURI || resolved != want {
			t.Errorf("of generation %d: %q, %v", observed, uri, resolved)
		}
		if observed == last {
			return
		}
	}
	t.Error("the last generation was never observed")
}

func testGenerationIsOfTheSpec(t *testing.T, w *world) {
	w.creates(brokers, eventingObject("Broker", "counted", "{}"))
	w.creates(triggers, trigger("counted", "{broker: counted, subscriber: {uri: 'http://a'}}"))
	for _, r := range []schema.GroupResource{brokers, triggers} {
		for patch, want := range map[string]int64{`{"metadata": {"labels": {"a": "b"}}}`: 1, `{"spec": {"delivery": {"retry": 9}}}`: 2} {
			before := w.object(r, "counted").GetGeneration()
			if err := w.changes(r, "counted", patch); err != nil {
				t.Fatal(err)
			}
			o := w.object(r, "counted")
			observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
			if grown := o.GetGeneration() - before; grown != want-1 || observed != o.GetGeneration() {
				t.Errorf("%s, %s: it grew by %d, to %d; observed is %d", r.Resource, patch, grown, o.GetGeneration(), observed)
			}
		}
	}
}

// What is said of conditions holds for all objects that the tests before have made.
func testConditionsAreDescribed(t *testing.T, w *world) {
	config, err := clientcmd.BuildConfigFromFlags("", w.server.api.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for group, kinds := range map[string][]string{
		"eventing.knative.dev": {"Broker", "Trigger"}, "sources.knative.dev": {"PingSource", "ContainerSource", "SinkBinding"}, "serving.knative.dev": {"Service"},
	} {
		resp, err := client.Get(config.Host + "/openapi/v3/apis/" + group + "/v1")
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			Components struct{ Schemas map[string]map[string]any }
		}
		err = json.NewDecoder(resp.Body).Decode(&document)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range kinds {
			fields := map[string]any{}
			for name, schema := range document.Components.Schemas {
				if strings.HasSuffix(name, "."+kind) {
					fields, _, _ = unstructured.NestedMap(schema, "properties", "status", "properties", "conditions", "items", "properties")
				}
			}
			for _, field := range []string{"type", "status", "severity", "reason", "message", "lastTransitionTime"} {
				if fields[field] == nil {
					t.Errorf("the document has no field %s of conditions of a %s", field, kind)
				}
			}
		}
	}
}

func testConditionsOfEventing(t *testing.T, w *world) {
	n := 0
	for _, r := range []schema.GroupResource{brokers, triggers} {
		list, err := w.resource(r).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			n++
			conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
			by := map[string]map[string]any{}
			worst := "True"
			for _, c := range conditions {
				c := c.(map[string]any)
				kind, status := c["type"].(string), c["status"].(string)
				if by[kind] != nil {
					t.Errorf("%s: two conditions %s", o.GetName(), kind)
				}
				by[kind] = c
				if status == "False" && (c["reason"] == nil || c["reason"] == "" || c["message"] == nil) {
					t.Errorf("%s: %v gives no reason", o.GetName(), c)
				}
				if _, err := time.Parse(time.RFC3339, fmt.Sprint(c["lastTransitionTime"])); err != nil {
					t.Errorf("%s: %v", o.GetName(), err)
				}
				if kind != "Ready" && c["severity"] == nil && (status == "False" || status == "Unknown" && worst == "True") {
					worst = status
				}
			}
			if ready := by["Ready"]; ready == nil || ready["status"] != worst || ready["severity"] != nil {
				t.Errorf("%s: Ready is %v, the worst condition %s", o.GetName(), ready, worst)
			}
		}
	}
	if n < 20 {
		t.Errorf("%d objects", n)
	}
}
