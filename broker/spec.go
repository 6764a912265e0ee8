package broker

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/sluice-proxy/sluice/broker/internal/filter"
)

// ID names a broker or a trigger. Both parts are names as Kubernetes has them.
type ID struct{ Namespace, Name string }

func (id ID) String() string { return id.Namespace + "/" + id.Name }

// objectName is a DNS subdomain, as names of objects are (Kubernetes, "Object Names and IDs"). It is also a safe name of a file.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

func (id ID) validate() error {
	for _, part := range []struct{ what, name string }{{"namespace", id.Namespace}, {"name", id.Name}} {
		if !objectName.MatchString(part.name) {
			return fmt.Errorf("metadata.%s: should be lower-case letters, digits, '-' and '.', at most 253, is %q", part.what, part.name)
		}
	}
	return nil
}

// Broker takes events and keeps them for its triggers.
type Broker struct {
	ID
	// Delivery is that of triggers which have none. Nil: DefaultDelivery.
	Delivery *Delivery
}

// Validate says which field of a Broker is wrong.
func (b Broker) Validate() error {
	if err := b.ID.validate(); err != nil {
		return err
	}
	return b.Delivery.validate()
}

// Filter says which events a trigger gets, as the fields spec.filter.attributes and spec.filters of a Trigger. The zero value: all.
type Filter = filter.Spec

// Expression is one of Filter.Filters.
type Expression = filter.Expression

// Trigger has a broker's events that pass a filter delivered to a subscriber.
type Trigger struct {
	ID
	// Broker is the name of a broker in the same namespace.
	Broker string
	Filter Filter
	// Subscriber is the URL that events are sent to. Empty: it is not known yet, and events wait for it.
	Subscriber string
	// Delivery replaces the broker's as a whole. Nil: the broker's.
	Delivery *Delivery
	// Key is an attribute, or a CESQL expression. Events with the same key are delivered in their order, one at a time. Those that
	// have no such attribute are delivered like events of a trigger without Key. Empty: all are delivered in any order.
	Key string
	// SkipRetries sends an event that has a key and fails to the dead letter sink at once, so that the next one of its key is not
	// held up. Without such a sink the event is dropped.
	SkipRetries bool
}

// Validate says which field of a Trigger is wrong.
func (t Trigger) Validate() error {
	_, err := t.compile(nil)
	return err
}

// ValidateFilter says which field of a Trigger's spec is wrong: filter.attributes, or one below filters.
func ValidateFilter(f Filter) error {
	_, err := filter.Compile(f)
	return err
}

// ValidateKey says what is wrong with a Trigger's Key.
func ValidateKey(key string) error {
	if key == "" {
		return nil
	}
	_, err := filter.CompileKey(key)
	return err
}

// Backoff is how the delays between attempts grow.
type Backoff int

const (
	// Exponential doubles the delay: the first one is Delivery.Delay.
	Exponential Backoff = iota
	// Linear adds Delivery.Delay each time: the first one is Delivery.Delay.
	Linear
)

// Delivery says how often an event is sent, and what becomes of it when that fails.
type Delivery struct {
	// Retry is how many attempts there are after the first one.
	Retry   int
	Backoff Backoff
	// Delay is the time before the first retry.
	Delay time.Duration
	// Timeout of an attempt. 0: DefaultTimeout.
	Timeout time.Duration
	// RetryAfterMax bounds how long a sink's Retry-After (with 429 and 503) delays the next attempt. 0: Retry-After has no effect.
	RetryAfterMax time.Duration
	// Structured has events sent in structured mode, as JSON; otherwise they are sent in binary mode.
	Structured bool
	// DeadLetter is the URL of the sink that gets events which could not be delivered, with the same number of attempts. Empty: they are
	// dropped.
	DeadLetter string
}

// DefaultTimeout is how long an attempt may take: what a Knative Service has for a request by default
// (knative.dev/serving config-defaults, revision-timeout-seconds).
const DefaultTimeout = 300 * time.Second

// maxRetry bounds Delivery.Retry.
const maxRetry = 1_000_000

// DefaultDelivery is that of a broker without one: what Knative installs (knative.dev/eventing config-br-defaults).
func DefaultDelivery() Delivery {
	return Delivery{Retry: 10, Delay: 200 * time.Millisecond, Backoff: Exponential}
}

// Validate says which field of a DeliverySpec is wrong.
func (d Delivery) Validate() error { return d.validate() }

func (d *Delivery) validate() error {
	if d == nil {
		return nil
	}
	switch {
	case d.Retry < 0 || d.Retry > maxRetry:
		return fmt.Errorf("delivery.retry: should be 0 to %d, is %d", maxRetry, d.Retry)
	case d.Backoff != Exponential && d.Backoff != Linear:
		return errors.New("delivery.backoffPolicy: should be exponential or linear")
	case d.Delay < 0:
		return fmt.Errorf("delivery.backoffDelay: should not be negative, is %v", d.Delay)
	case d.Timeout < 0:
		return fmt.Errorf("delivery.timeout: should not be negative, is %v", d.Timeout)
	case d.RetryAfterMax < 0:
		return fmt.Errorf("delivery.retryAfterMax: should not be negative, is %v", d.RetryAfterMax)
	}
	_, err := sinkURL("delivery.deadLetterSink", d.DeadLetter)
	return err
}

// sinkURL parses the URL of a sink; nil if there is none.
func sinkURL(field, text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%s: should be a URL like http://sink.example.com/events, is %q", field, text)
	}
	return u, nil
}

// plan is a compiled Trigger.
type plan struct {
	trigger    Trigger
	filter     *filter.Filter
	key        *filter.Key // nil: without
	subscriber *url.URL    // nil: not known yet
	delivery   Delivery
	deadLetter *url.URL // nil: none
}

// compile checks a Trigger of a broker with a delivery, which may be nil.
func (t Trigger) compile(ofBroker *Delivery) (*plan, error) {
	p := &plan{trigger: t, delivery: DefaultDelivery()}
	if err := t.ID.validate(); err != nil {
		return nil, err
	}
	if !objectName.MatchString(t.Broker) {
		return nil, fmt.Errorf("spec.broker: should be the name of a broker, is %q", t.Broker)
	}
	var err error
	if p.filter, err = filter.Compile(t.Filter); err != nil {
		return nil, fmt.Errorf("spec.%w", err)
	}
	if t.Key != "" {
		if p.key, err = filter.CompileKey(t.Key); err != nil {
			return nil, fmt.Errorf("metadata.annotations[sluice.dev/key]: %w", err)
		}
	}
	if p.subscriber, err = sinkURL("spec.subscriber", t.Subscriber); err != nil {
		return nil, err
	}
	if err := t.Delivery.validate(); err != nil {
		return nil, fmt.Errorf("spec.%w", err)
	}
	switch {
	case t.Delivery != nil:
		p.delivery = *t.Delivery
	case ofBroker != nil:
		p.delivery = *ofBroker
	}
	if p.delivery.Timeout == 0 {
		p.delivery.Timeout = DefaultTimeout
	}
	p.deadLetter, err = sinkURL("spec.delivery.deadLetterSink", p.delivery.DeadLetter)
	return p, err
}
