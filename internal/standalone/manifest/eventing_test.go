package manifest

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

func loadEventing(t *testing.T, file string) map[EventingKey]*Eventing {
	t.Helper()
	set, err := Load(Input{Paths: []string{filepath.Join("testdata", file)}})
	if err != nil {
		t.Fatal(err)
	}
	return set.Eventing
}

func TestEventingIsRead(t *testing.T) {
	all := loadEventing(t, "eventing.yaml")
	if len(all) != 5 {
		t.Fatalf("%d objects", len(all))
	}
	minute := time.Minute
	broker := all[EventingKey{KindBroker, "default", "example-broker"}]
	d := broker.Broker.Delivery
	d.DeadLetterSink.Place = Place{}
	want := &Delivery{
		Retry: 10, BackoffDelay: 200 * time.Millisecond, Timeout: 30 * time.Second, RetryAfterMax: &minute,
		DeadLetterSink: &Destination{URI: "http://localhost:9000/dead"},
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v, want %+v", d, want)
	}
	if broker.Broker.Class != "MTChannelBasedBroker" || len(broker.Ignored) != 1 || broker.Ignored[0].Field != "spec.config" {
		t.Errorf("%+v, %+v", broker.Broker, broker.Ignored)
	}

	trigger := all[EventingKey{KindTrigger, "default", "player"}].Trigger
	if trigger.Broker != "example-broker" || trigger.Key != "subject" || !trigger.SkipRetries || trigger.KeyPlace.Line == 0 ||
		!reflect.DeepEqual(trigger.Dependency, &Reference{APIVersion: "sources.knative.dev/v1", Kind: "PingSource", Name: "ping"}) {
		t.Errorf("%+v", trigger)
	}
	if !reflect.DeepEqual(trigger.Attributes, map[string]string{"type": "dev.example.order", "source": ""}) {
		t.Errorf("%+v", trigger.Attributes)
	}
	if f := trigger.Filters; len(f) != 3 || f[0].Exact["type"] != "dev.example.order" || f[1].Any[0].Prefix["subject"] != "a" ||
		f[1].Any[1].Not.Suffix["subject"] != "z" || f[2].CESQL != "EXISTS subject" || f[1].Any[1].Not.Place.Field != "spec.filters[1].any[1].not" {
		t.Errorf("%+v", f)
	}
	if s := trigger.Subscriber; *s.Ref != (Reference{"serving.knative.dev/v1", "Service", "", "from-a-file"}) || s.URI != "/events?a=b" {
		t.Errorf("%+v", s)
	}
	if d := trigger.Delivery; d.Retry != 0 || !d.Linear || d.BackoffDelay != 26*time.Hour+3*time.Minute+4500*time.Millisecond {
		t.Errorf("%+v", d)
	}

	ping := all[EventingKey{KindPingSource, "default", "ping"}]
	if ping.Object["apiVersion"] != "sources.knative.dev/v1" {
		t.Errorf("%v", ping.Object)
	}
	p := ping.PingSource
	at := time.Date(2026, 11, 30, 9, 0, 1, 0, time.UTC)
	if string(p.Data) != `{"hello": "world"}` || p.ContentType != "application/json" || !p.Schedule.Next(at).Equal(at.Add(9*time.Second)) || p.Overrides.Extensions["team"] != "a" {
		t.Errorf("%+v", p)
	}

	c := all[EventingKey{KindContainerSource, "default", "heartbeats"}]
	template := c.ContainerSource.Template
	if template.Container.Name != "heartbeats-0" || len(template.Sidecars) != 1 || template.Sidecars[0].Name != "heartbeats-1" || template.Init[0].Name != "prepare" {
		t.Errorf("%+v", template)
	}
	if len(c.Ignored) != 1 || c.Ignored[0].Field != "spec.template.spec.containers[1]" {
		t.Errorf("%+v", c.Ignored)
	}

	subject := all[EventingKey{KindSinkBinding, "default", "bind"}].SinkBinding.Subject
	for text, want := range map[string]bool{"app=a,tier=back": true, "app=a": false, "tier=front": false, "": false} {
		set, err := labels.ConvertSelectorToLabelsMap(text)
		if err != nil || subject.Selector.Matches(set) != want {
			t.Errorf("%q is selected: %v, %v", text, !want, err)
		}
	}
}

// What has no field of its own is as in Knative.
func TestEventingHasKnativesDefaults(t *testing.T) {
	all := loadEventing(t, "everything.yaml")
	for kind, want := range map[EventingKind]string{
		KindBroker: "map[annotations:map[eventing.knative.dev/broker.class:MTChannelBasedBroker] name:default namespace:store] " +
			"map[delivery:map[backoffDelay:PT0.2S backoffPolicy:exponential retry:10]]",
		KindTrigger: "map[labels:map[eventing.knative.dev/broker:default] name:orders namespace:store] " +
			"map[broker:default filter:map[] subscriber:map[ref:map[apiVersion:serving.knative.dev/v1 kind:Service name:everything namespace:store]]]",
	} {
		found := false
		for _, e := range all {
			if e.Kind == kind {
				found = true
				Default(e.Object)
				if got := fmt.Sprint(e.Object["metadata"]) + " " + fmt.Sprint(e.Object["spec"]); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		}
		if !found {
			t.Errorf("no %s", kind)
		}
	}
}

func TestEventingFaults(t *testing.T) {
	const (
		broker  = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b}\n"
		trigger = "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\n"
		ping    = "apiVersion: sources.knative.dev/v1\nkind: PingSource\nmetadata: {name: p}\n"
		source  = "apiVersion: sources.knative.dev/v1\nkind: ContainerSource\nmetadata: {name: c}\n"
		binding = "apiVersion: sources.knative.dev/v1\nkind: SinkBinding\nmetadata: {name: s}\n"
		to      = "subscriber: {uri: 'http://a'}"
		sink    = "sink: {uri: 'http://a'}"
	)
	for doc, want := range map[string]string{
		trigger:                                                                 "f:1: field spec: missing",
		trigger + "spec: {" + to + "}":                                          "f:4: field spec.broker: missing",
		trigger + "spec: {broker: b}":                                           "f:4: field spec.subscriber: missing",
		trigger + "spec: {broker: b, subscriber: {}}":                           "f:4: field spec.subscriber: should have ref or uri",
		trigger + "spec: {broker: b, subscriber: {uri: /a}}":                    `f:4: field spec.subscriber.uri: should be absolute without a ref, is "/a"`,
		trigger + "spec: {broker: b, subscriber: {uri: 'ftp://a'}}":             `f:4: field spec.subscriber.uri: should begin with http:// or https://, is "ftp://a"`,
		trigger + "spec: {broker: b, subscriber: {ref: {kind: Service}}}":       "f:4: field spec.subscriber.ref.apiVersion: missing",
		trigger + "spec: {broker: b, brokerRef: {name: c}, " + to + "}":         "f:4: field spec.brokerRef: not supported: name a broker of the trigger's namespace in spec.broker",
		trigger + "spec: {broker: b, filter: {attributes: {A: b}}, " + to + "}": "f:4: field spec.filter.attributes.A: the name of an attribute should be lower-case letters and digits, and begin with a letter",
		trigger + "spec: {broker: b, filters: [{exact: {a: b}, prefix: {a: b}}], " + to + "}": "f:4: field spec.filters[0]: should have one of exact, prefix, suffix, " +
			"all, any, not and cesql, has 2: all combines several",
		trigger + "spec: {broker: b, filters: &a [{all: *a}], " + to + "}":                                                 "a filter in more than 20 filters",
		trigger + "spec: {broker: b, filters: [{exakt: {a: b}}], " + to + "}":                                              "f:4: field spec.filters[0].exakt: no such field; the nearest is exact",
		strings.Replace(trigger, "t}", "t, annotations: {sluice.dev/key-retry: no}}", 1) + "spec: {broker: b, " + to + "}": `f:3: field metadata.annotations[sluice.dev/key-retry]: should be skip, is "no"`,
		strings.Replace(trigger, "t}", "t, annotations: {sluice.dev/kye: a}}", 1) + "spec: {broker: b, " + to + "}": "f:3: field metadata.annotations[sluice.dev/kye]: no such annotation " +
			"of the quickstart; the nearest is sluice.dev/key",
		strings.Replace(trigger, "t}", "t, annotations: {knative.dev/dependency: '{}'}}", 1) + "spec: {broker: b, " + to + "}": "f:3: field metadata.annotations[knative.dev/dependency]: " +
			"should have apiVersion, kind, name",
		strings.Replace(trigger, "t}", "t, annotations: {knative.dev/dependency: a}}", 1) + "spec: {broker: b, " + to + "}": "should be a reference in JSON",
		broker + "spec: {delivery: {retry: -1}}":                                                          "f:4: field spec.delivery.retry: should be from 0 to 2147483647, is -1",
		broker + "spec: {delivery: {backoffPolicy: cubic}}":                                               `f:4: field spec.delivery.backoffPolicy: should be exponential or linear, is "cubic"`,
		broker + "spec: {delivery: {backoffDelay: 1s}}":                                                   `f:4: field spec.delivery.backoffDelay: should be a duration of ISO 8601 such as PT0.2S`,
		broker + "spec: {delivery: {timeout: PT0S}}":                                                      "f:4: field spec.delivery.timeout: should be more than 0",
		broker + "spec: {config: {kind: ConfigMap}}":                                                      "f:4: field spec.config.apiVersion: missing",
		broker + "spec: {delivry: {}}":                                                                    "f:4: field spec.delivry: no such field; the nearest is delivery",
		broker + "---\n" + broker:                                                                         "f:5: Broker b is also in f:1",
		strings.Replace(broker, "/v1", "/v1beta1", 1):                                                     `f:1: field apiVersion: should be eventing.knative.dev/v1, is "eventing.knative.dev/v1beta1"`,
		strings.Replace(broker, "Broker", "Brokr", 1):                                                     `f:1: field kind: no kind of eventing.knative.dev/v1: "Brokr"; the nearest is Broker`,
		ping + "spec: {schedule: '* * * * *'}":                                                            "f:4: field spec.sink: missing",
		ping + "spec: {schedule: hourly, " + sink + "}":                                                   "f:4: field spec.schedule: should be a schedule such as */5 * * * *: ",
		ping + "spec: {schedule: '@every 1s', " + sink + "}":                                              "f:4: field spec.schedule: @every is not supported, as in Knative",
		ping + "spec: {timezone: Mars/Olympus, " + sink + "}":                                             `f:4: field spec.timezone: no such time zone: "Mars/Olympus"`,
		ping + "spec: {data: a, dataBase64: YQ==, " + sink + "}":                                          "f:4: field spec: should have either data or dataBase64",
		ping + "spec: {dataBase64: '*', " + sink + "}":                                                    "f:4: field spec.dataBase64: should be in base64",
		ping + "spec: {data: '[1]', contentType: application/json, " + sink + "}":                         "f:4: field spec.data: should be an object in JSON, as contentType says",
		ping + "spec: {ceOverrides: {extensions: {a-b: c}}, " + sink + "}":                                "f:4: field spec.ceOverrides.extensions.a-b: the name of an extension should be letters and digits",
		source + "spec: {" + sink + "}":                                                                   "f:4: field spec.template: missing",
		source + "spec: {template: {}, " + sink + "}":                                                     "f:4: field spec.template.spec: missing",
		source + "spec: {template: {spec: {}}, " + sink + "}":                                             "f:4: field spec.template.spec.containers: should hold a container",
		source + "spec: {template: {spec: {containers: [{name: a}, {name: a}]}}, " + sink + "}":           `another container is called "a", too`,
		source + "spec: {template: {spec: {containerConcurrency: 1, containers: [{}]}}, " + sink + "}":    "f:4: field spec.template.spec.containerConcurrency: no such field",
		binding + "spec: {" + sink + "}":                                                                  "f:4: field spec.subject: missing",
		binding + "spec: {subject: {kind: Service, name: a}, " + sink + "}":                               "f:4: field spec.subject.apiVersion: missing",
		binding + "spec: {subject: {apiVersion: v1, kind: Service}, " + sink + "}":                        "f:4: field spec.subject: should have either name or selector",
		binding + "spec: {subject: {apiVersion: v1, kind: Service, name: a, namespace: b}, " + sink + "}": `field spec.subject.namespace: should be the binding's, default, is "b"`,
		binding + "spec: {subject: {apiVersion: v1, kind: Service, selector: {matchExpressions: [{key: a, operator: In}]}}, " + sink + "}": "f:4: field spec.subject.selector: ",
	} {
		_, err := Parse("f", []byte(doc))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\nshould have %s", doc, err, want)
		}
	}
}

// What Knative's webhooks don't let anybody change.
func TestEventingUnchangeable(t *testing.T) {
	read := func(doc string) *Eventing {
		set := newSet()
		if err := set.add(File{Name: "f", Data: []byte(doc)}); err != nil {
			t.Fatal(err)
		}
		for _, e := range set.Eventing {
			return e
		}
		t.Fatalf("nothing in %s", doc)
		return nil
	}
	broker := func(class, config string) *Eventing {
		return read("apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b, annotations: {" + class + "}}\nspec: {" + config + "}\n")
	}
	trigger := func(broker, more string) *Eventing {
		return read("apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec: {broker: " + broker + ", subscriber: {uri: 'http://" + more + "'}}\n")
	}
	const config = "config: {apiVersion: v1, kind: ConfigMap, name: c}"
	for _, c := range []struct {
		from, to *Eventing
		want     string
	}{
		{broker("", ""), broker("eventing.knative.dev/broker.class: MTChannelBasedBroker", "delivery: {retry: 1}"), ""},
		{broker("", ""), broker("eventing.knative.dev/broker.class: Kafka", ""), "f:3: field metadata.annotations[eventing.knative.dev/broker.class]: can't be changed: delete the Broker, or give the new one another name"},
		{broker("", config), broker("", "config: {name: c, kind: ConfigMap, apiVersion: v1}"), ""},
		{broker("", config), broker("", ""), "field spec.config: can't be changed"},
		{trigger("a", "x"), trigger("a", "y"), ""},
		{trigger("a", "x"), trigger("b", "x"), "field spec.broker: can't be changed: delete the Trigger"},
	} {
		c.to.Pos.Line = 3
		err := c.from.Unchangeable(c.to)
		if err == nil && c.want != "" || err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT0.2S": 200 * time.Millisecond, "PT10S": 10 * time.Second, "PT1H30M": 90 * time.Minute, "P1W": 7 * 24 * time.Hour,
		"P1DT0,5H": 24*time.Hour + 30*time.Minute, "PT0S": 0, "P366D": 366 * 24 * time.Hour,
		"": -1, "P": -1, "PT": -1, "P1DT": -1, "1S": -1, "PT1": -1, "P1Y": -1, "P1M": -1, "PT-1S": -1, "pt1s": -1, "P367D": -1, "PT1e3S": -1, "P1W1D": -1,
		"PT" + strings.Repeat("9", 400) + "S": -1,
	} {
		got, ok := parseDuration(text)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
