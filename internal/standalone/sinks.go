package standalone

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

// address returns the URL of an object for other services, as in a cluster, and whether d has it.
func (d *declared) address(namespace string, to *manifest.Reference) (string, error) {
	namespace = cmp.Or(to.Namespace, namespace)
	there, at := false, ""
	switch {
	case to.Kind == "Service" && (to.APIVersion == "serving.knative.dev/v1" || to.APIVersion == "v1"):
		_, there = d.services[serviceKey{namespace, to.Name}]
		at = clusterURL(namespace, to.Name)
	case to.Kind == "Broker" && to.APIVersion == "eventing.knative.dev/v1":
		_, there = d.eventing[manifest.EventingKey{Kind: manifest.KindBroker, Namespace: namespace, Name: to.Name}]
		at = knative.BrokerURL(namespace, to.Name)
	default:
		return "", fmt.Errorf("%s %s of %s is no sink here: a sink is a Service of serving.knative.dev/v1, a Broker of eventing.knative.dev/v1, or a uri",
			to.Kind, to.Name, to.APIVersion)
	}
	if !there {
		group, _, _ := strings.Cut("."+to.APIVersion, "/")
		return "", fmt.Errorf("failed to get object %s/%s: %ss%s %q not found", namespace, to.Name, strings.ToLower(to.Kind), strings.TrimSuffix(group, ".v1"), to.Name)
	}
	return at, nil
}

// clusterURL returns the URL of a Service in a cluster.
func clusterURL(namespace, name string) string {
	return "http://" + name + "." + namespace + ".svc.cluster.local"
}

// resolve returns where to is.
func (d *declared) resolve(namespace string, to *manifest.Destination) objects.Sink {
	if to.Ref == nil {
		return objects.Sink{URI: to.URI}
	}
	base, err := d.address(namespace, to.Ref)
	if err != nil {
		return objects.Sink{Why: err.Error()}
	}
	if to.URI == "" {
		return objects.Sink{URI: base}
	}
	u, err := url.Parse(base)
	if err != nil {
		return objects.Sink{Why: err.Error()}
	}
	if u, err = u.Parse(to.URI); err != nil {
		return objects.Sink{Why: err.Error()}
	}
	return objects.Sink{URI: u.String()}
}

// deadLetters returns the dead letter sink of a delivery; nil: it has none.
func (d *declared) deadLetters(namespace string, of *manifest.Delivery) *objects.Sink {
	if of == nil || of.DeadLetterSink == nil {
		return nil
	}
	sink := d.resolve(namespace, of.DeadLetterSink)
	return &sink
}
