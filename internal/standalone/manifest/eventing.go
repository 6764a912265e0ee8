package manifest

import (
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/labels"
)

// EventingKind is a kind of Knative Eventing that is served here.
type EventingKind string

// The kinds.
const (
	KindBroker          EventingKind = "Broker"
	KindTrigger         EventingKind = "Trigger"
	KindPingSource      EventingKind = "PingSource"
	KindContainerSource EventingKind = "ContainerSource"
	KindSinkBinding     EventingKind = "SinkBinding"
)

// EventingKey identifies an Eventing.
type EventingKey struct {
	Kind            EventingKind
	Namespace, Name string
}

// Eventing is a Broker, a Trigger or a source of events: of the pointers, that of its kind isn't nil.
type Eventing struct {
	Pos             Pos
	Kind            EventingKind
	Namespace, Name string
	Ignored         []Note
	Object          map[string]any // the document, as in a Service

	Broker          *Broker
	Trigger         *Trigger
	PingSource      *PingSource
	ContainerSource *ContainerSource
	SinkBinding     *SinkBinding
}

// Key returns the key of e.
func (e *Eventing) Key() EventingKey { return EventingKey{e.Kind, e.Namespace, e.Name} }

// Broker takes events and keeps them for its Triggers.
type Broker struct {
	Class    string    // of the annotation; it has no effect here
	Config   Reference // spec.config, which has no effect here
	Delivery *Delivery // of Triggers that have none; nil: as DefaultDelivery says
}

// Trigger has the events of a Broker that pass its filter delivered to its subscriber.
type Trigger struct {
	Broker string
	// Attributes are those of spec.filter, which counts if Filters is nil. An event needs all of them.
	Attributes map[string]string
	Filters    []Filter
	Subscriber Destination
	Delivery   *Delivery // nil: the Broker's
	// Key is an attribute, or an expression of CESQL: events with the same key are delivered in order, to the same instance of the
	// subscriber. SkipRetries: an event that fails goes to the dead letter sink at once, so that its key goes on.
	Key         string
	SkipRetries bool
	KeyPlace    Place
	Dependency  *Reference // the source that has to be ready, too
}

// Filter is one of spec.filters: of its fields at most one is set. Without any it passes every event.
type Filter struct {
	Exact, Prefix, Suffix map[string]string
	All, Any              []Filter
	Not                   *Filter
	CESQL                 string
	Place                 Place
}

// Delivery is a DeliverySpec.
type Delivery struct {
	DeadLetterSink *Destination
	Retry          int
	Linear         bool // the back-off; otherwise it is exponential
	BackoffDelay   time.Duration
	Timeout        time.Duration  // of an attempt; 0: not set
	RetryAfterMax  *time.Duration // nil: not set
	Structured     bool           // events are sent in structured mode
}

// DefaultDelivery is that of a Broker without one: Knative's ConfigMap config-br-defaults.
func DefaultDelivery() Delivery { return Delivery{Retry: 10, BackoffDelay: 200 * time.Millisecond} }

// Destination is where events go: an object, with a URI relative to its address, or a URI.
type Destination struct {
	Ref   *Reference
	URI   string
	Place Place
}

// Reference names an object; one without a namespace is in that of the object which has the reference.
type Reference struct{ APIVersion, Kind, Namespace, Name string }

// Sender is what sources have in common.
type Sender struct {
	Sink Destination
	// Overrides are ceOverrides, which set extensions of events; nil: there are none.
	Overrides *Overrides
}

// Overrides is a CloudEventOverrides. Its JSON is the value of K_CE_OVERRIDES.
type Overrides struct {
	Extensions map[string]string `json:"extensions,omitempty"`
}

// PingSource sends the same data at the times of a schedule.
type PingSource struct {
	Sender
	Schedule    cron.Schedule
	ContentType string
	Data        []byte
}

// ContainerSource is containers that send events to $K_SINK. The first one is Template.Container.
type ContainerSource struct {
	Sender
	Template Template
}

// SinkBinding sets K_SINK and K_CE_OVERRIDES for the containers of its subject.
type SinkBinding struct {
	Sender
	Subject Subject
}

// Subject is one object by its name, or those that Selector selects, unless it is nil.
type Subject struct {
	Reference
	Selector labels.Selector
}
