package manifest

import (
	"encoding/json"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Annotations of Brokers and Triggers (knative.dev/eventing/pkg/apis/eventing), and the quickstart's own.
const (
	BrokerClassKey     = "eventing.knative.dev/broker.class"
	BrokerLabel        = "eventing.knative.dev/broker" // of a Trigger
	defaultBrokerClass = "MTChannelBasedBroker"        // config-br-defaults
	dependencyKey      = "knative.dev/dependency"
	injectionKey       = "eventing.knative.dev/injection"
	keyKey             = "sluice.dev/key"
	keyRetryKey        = "sluice.dev/key-retry"
)

var (
	brokerTable  = newTable("Broker", eventingFields(eventingVersion, "Broker", onBroker, func(r *reader, n node, e *Eventing) { readObject(r, n, brokerSpecTable, e.Broker) }))
	triggerTable = newTable("Trigger", eventingFields(eventingVersion, "Trigger", onTrigger, func(r *reader, n node, e *Eventing) {
		readObject(r, n, triggerSpecTable, e.Trigger)
		r.needs(n, "broker", e.Trigger.Broker != "")
		r.needs(n, "subscriber", e.Trigger.Subscriber.Place != Place{})
	}))
)

var brokerSpecTable = newTable("BrokerSpec",
	[]field[Broker]{
		{name: "delivery", note: "of triggers without one; without it 10 retries, exponential from PT0.2S: see DeliverySpec", read: func(r *reader, n node, b *Broker) { b.Delivery = r.delivery(n) }},
		{name: "config", note: "has no effect, with a note: there is one kind of broker, whose log is on this machine; can't be changed", read: func(r *reader, n node, b *Broker) {
			readObject(r, n, referenceTable, &b.Config)
			if r.schema != nil {
				return
			}
			r.complete(n, &b.Config)
			r.ignore(n, "there is one kind of broker here, whose log is on this machine")
		}},
	},
)

var triggerSpecTable = newTable("TriggerSpec",
	[]field[Trigger]{
		{name: "broker", note: "of the trigger's namespace; can't be changed", read: func(r *reader, n node, t *Trigger) { t.Broker = r.objectName(n) }},
		{name: "filter", note: "see TriggerFilter", read: func(r *reader, n node, t *Trigger) { readObject(r, n, triggerFilterTable, t) }},
		{name: "filters", note: "all have to pass, and filter doesn't count: see SubscriptionsAPIFilter", read: func(r *reader, n node, t *Trigger) { t.Filters = r.filters(n, 0) }},
		{name: "subscriber", note: "gets the events: see Destination", read: func(r *reader, n node, t *Trigger) { t.Subscriber = r.destination(n) }},
		{name: "delivery", note: "instead of the broker's: see DeliverySpec", read: func(r *reader, n node, t *Trigger) { t.Delivery = r.delivery(n) }},
		{name: "brokerRef", note: "an error: brokers of other namespaces are not supported, as in Knative without its feature cross-namespace-event-links", read: func(r *reader, n node, _ *Trigger) {
			if s := r.shape(n, "object"); s == nil {
				r.errorf(n, "not supported: name a broker of the trigger's namespace in spec.broker")
			}
		}},
	},
)

var triggerFilterTable = newTable("TriggerFilter",
	[]field[Trigger]{
		{name: "attributes", note: "have to be equal; an empty value is any", read: func(r *reader, n node, t *Trigger) { t.Attributes = r.attributes(n) }},
	},
)

// filterTable is read by readFilter: the depth bounds all, any and not, which hold filters again.
func filterTable(depth int) *table[Filter] {
	filters := func(to func(*Filter) *[]Filter) func(*reader, node, *Filter) {
		return func(r *reader, n node, f *Filter) { *to(f) = r.filters(n, depth+1) }
	}
	attributes := func(to func(*Filter) *map[string]string) func(*reader, node, *Filter) {
		return func(r *reader, n node, f *Filter) { *to(f) = r.attributes(n) }
	}
	return newTable("SubscriptionsAPIFilter",
		[]field[Filter]{
			{name: "exact", note: "attributes are equal to these", read: attributes(func(f *Filter) *map[string]string { return &f.Exact })},
			{name: "prefix", note: "attributes begin with these", read: attributes(func(f *Filter) *map[string]string { return &f.Prefix })},
			{name: "suffix", note: "attributes end with these", read: attributes(func(f *Filter) *map[string]string { return &f.Suffix })},
			{name: "all", note: "all of these filters pass", read: filters(func(f *Filter) *[]Filter { return &f.All })},
			{name: "any", note: "one of these filters passes", read: filters(func(f *Filter) *[]Filter { return &f.Any })},
			{name: "not", note: "this filter doesn't pass", read: func(r *reader, n node, f *Filter) {
				not := r.filter(n, depth+1)
				f.Not = &not
			}},
			{name: "cesql", note: "this expression of CESQL is true", read: func(r *reader, n node, f *Filter) { f.CESQL = r.text(n) }},
		},
	)
}

// maxFilters bounds the nesting of filters: in YAML a filter can contain itself.
const maxFilters = 20

func (r *reader) filters(n node, depth int) []Filter {
	all := []Filter{}
	if depth > 1 && r.schema != nil {
		r.shape(n, "array")["items"] = map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
		return nil
	}
	r.list(n, func(n node) { all = append(all, r.filter(n, depth)) })
	return all
}

func (r *reader) filter(n node, depth int) Filter {
	f := Filter{Place: r.place(n)}
	switch {
	case r.schema != nil && depth > 1:
		r.shape(n, "object")["x-kubernetes-preserve-unknown-fields"] = true
		return f
	case depth > maxFilters:
		r.errorf(n, "a filter in more than %d filters", maxFilters)
		return f
	}
	readObject(r, n, filterTable(depth), &f)
	dialects := 0
	for _, set := range []bool{
		len(f.Exact) > 0, len(f.Prefix) > 0, len(f.Suffix) > 0, len(f.All) > 0, len(f.Any) > 0, f.Not != nil, f.CESQL != "",
	} {
		if set {
			dialects++
		}
	}
	if dialects > 1 {
		r.errorf(n, "should have one of exact, prefix, suffix, all, any, not and cesql, has %d: all combines several", dialects)
	}
	return f
}

var deliveryTable = newTable("DeliverySpec",
	[]field[Delivery]{
		{name: "retry", note: "attempts after the first one", read: func(r *reader, n node, d *Delivery) { d.Retry = r.number(n, 0, math.MaxInt32) }},
		{name: "backoffPolicy", note: "`exponential`, which is the default, or `linear`", read: func(r *reader, n node, d *Delivery) {
			d.Linear = r.oneOf(n, "exponential", "linear") == "linear"
		}},
		{name: "backoffDelay", note: "of the first retry, in ISO 8601", read: func(r *reader, n node, d *Delivery) { d.BackoffDelay = r.duration(n) }},
		{name: "timeout", note: "of an attempt, in ISO 8601", read: func(r *reader, n node, d *Delivery) {
			before := len(r.errs)
			if d.Timeout = r.duration(n); d.Timeout == 0 && r.schema == nil && len(r.errs) == before {
				r.errorf(n, "should be more than 0")
			}
		}},
		{name: "retryAfterMax", note: "bounds the Retry-After of a response, in ISO 8601; PT0S: it doesn't count", read: func(r *reader, n node, d *Delivery) {
			most := r.duration(n)
			d.RetryAfterMax = &most
		}},
		{name: "deadLetterSink", note: "gets the events that could not be delivered: see Destination", read: func(r *reader, n node, d *Delivery) {
			sink := r.destination(n)
			d.DeadLetterSink = &sink
		}},
		{name: "format", note: "`json` sends events in structured mode; `binary`, the default, in binary mode", read: func(r *reader, n node, d *Delivery) {
			d.Structured = r.oneOf(n, "json", "binary") == "json"
		}},
	},
)

func (r *reader) delivery(n node) *Delivery {
	d := &Delivery{}
	readObject(r, n, deliveryTable, d)
	return d
}

// triggerAnnotations reads the annotations at n that are a Trigger's own.
func (r *reader) triggerAnnotations(n node, all []Annotation, e *Eventing) {
	if n.Node == nil || n.Kind != yaml.MappingNode {
		return
	}
	for key, value := range r.entries(n) {
		switch key {
		case keyKey:
			e.Trigger.Key, e.Trigger.KeyPlace = find(all, key), r.place(value)
		case keyRetryKey:
			e.Trigger.SkipRetries = find(all, key) == "skip"
		case dependencyKey:
			e.Trigger.Dependency = r.dependency(value, find(all, key))
		}
	}
}

// dependency reads the annotation that names a source in JSON, as an ObjectReference.
func (r *reader) dependency(n node, text string) *Reference {
	var f Reference
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		r.errorf(n, "should be a reference in JSON, with apiVersion, kind and name: %v", err)
		return nil
	}
	if missing := f.missing(); len(missing) > 0 {
		r.errorf(n, "should have %s", strings.Join(missing, ", "))
	}
	return &f
}
