package objects

import "github.com/sluice-proxy/sluice/internal/standalone/kubeapi"

// Broker is a broker's state.
type Broker struct {
	alone

	Address        string // its URL for other services
	Ingress        Condition
	DeadLetterSink *Sink // nil: none is configured
}

func (b Broker) describe(kubeapi.Object) ([]condition, map[string]any) {
	fields := map[string]any{"address": map[string]any{"name": "http", "url": b.Address}}
	return []condition{
		{kind: "Addressable", status: True},
		deadLetters(b.DeadLetterSink, fields),
		{kind: "EventPoliciesReady", status: True, reason: "OIDCDisabled", message: `Feature "authentication-oidc" must be enabled to support Authorization`},
		b.Ingress.of("FilterReady"), b.Ingress.of("IngressReady"), b.Ingress.of("TriggerChannelReady"),
	}, fields
}
