package knative

// BrokerHost is the host of all brokers in a cluster, Knative's Service broker-ingress. Their paths are /NAMESPACE/NAME.
const BrokerHost = "broker-ingress.knative-eventing.svc.cluster.local"

// BrokerURL returns the URL of a broker in a cluster.
func BrokerURL(namespace, name string) string {
	return "http://" + BrokerHost + "/" + namespace + "/" + name
}

// Variables that a source's sender gets (knative.dev/eventing/pkg/apis/sources/v1/sinkbinding_lifecycle.go).
const (
	EnvSink      = "K_SINK"         // the URL to send events to
	EnvOverrides = "K_CE_OVERRIDES" // attributes for all of them, a CloudEventOverrides in JSON
)
