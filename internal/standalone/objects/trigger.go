package objects

import "github.com/sluice-proxy/sluice/internal/standalone/kubeapi"

// Trigger is a trigger's state.
type Trigger struct {
	alone

	Broker         Condition
	Subscriber     Sink
	DeadLetterSink *Sink // nil: neither it nor its broker has one
	Subscribed     Condition
	Dependency     Condition
}

func (t Trigger) describe(kubeapi.Object) ([]condition, map[string]any) {
	fields := map[string]any{}
	all := []condition{
		t.Broker.of("BrokerReady"),
		deadLetters(t.DeadLetterSink, fields),
		t.Dependency.of("DependencyReady"),
		identity(),
		t.Subscriber.resolved("SubscriberResolved", "Unable to get the Subscriber's URI"),
		t.Subscribed.of("SubscriptionReady"),
	}
	setNonzero(fields, "subscriberUri", t.Subscriber.URI)
	return all, fields
}
