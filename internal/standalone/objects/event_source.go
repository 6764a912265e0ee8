package objects

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// PingType and PingSourceOf are the type and the source of a PingSource's events (knative.dev/eventing, ping_lifecycle.go).
const PingType = "dev.knative.sources.ping"

// PingSourceOf returns the source attribute of the events of a PingSource.
func PingSourceOf(namespace, name string) string {
	return fmt.Sprintf("/apis/v1/namespaces/%s/pingsources/%s", namespace, name)
}

// PingSource is the state of one.
type PingSource struct {
	alone

	Sink Sink
}

func (p PingSource) describe(o kubeapi.Object) ([]condition, map[string]any) {
	fields := map[string]any{}
	deployed := condition{kind: "Deployed", status: Unknown}
	if p.Sink.URI != "" {
		deployed.status = True
		fields["sinkUri"] = p.Sink.URI
		fields["ceAttributes"] = []any{map[string]any{"type": PingType, "source": PingSourceOf(o.GetNamespace(), o.GetName())}}
	}
	return []condition{deployed, identity(), p.Sink.resolved("SinkProvided", "NotFound")}, fields
}

// SinkBinding is the state of one.
type SinkBinding struct {
	alone

	Sink    Sink
	Subject Condition // whether there is what it binds
}

func (b SinkBinding) describe(kubeapi.Object) ([]condition, map[string]any) {
	fields := map[string]any{}
	setNonzero(fields, "sinkUri", b.Sink.URI)
	return []condition{
		identity(),
		{kind: "OIDCTokenSecretCreated", status: True, reason: oidcOff},
		b.Subject.of("SinkBindingAvailable"),
		b.Sink.resolved("SinkProvided", "NoAddressable"),
		{kind: "TrustBundlePropagated", status: True},
	}, fields
}

// ContainerSource is the state of one.
type ContainerSource struct {
	Sink  Sink
	Ready Condition // of its pod
	Pods  []Pod
	// Node is the name of the machine; "": sluice.
	Node string
}

func (c ContainerSource) describe(kubeapi.Object) ([]condition, map[string]any) {
	fields := map[string]any{}
	setNonzero(fields, "sinkUri", c.Sink.URI)
	return []condition{c.Ready.of("ReceiveAdapterReady"), c.Sink.resolved("SinkBindingReady", "NoAddressable")}, fields
}

// children makes the pods. A cluster has a Deployment and a SinkBinding between them and the source.
func (c ContainerSource) children(m *maker, o kubeapi.Object) {
	template, _, _ := unstructured.NestedMap(o.Object, "spec", "template") // a copy
	own := func(field string) map[string]string {
		all, _, _ := unstructured.NestedStringMap(template, "metadata", field)
		return all
	}
	spec, _ := template["spec"].(map[string]any)
	grace := int64At(spec, "terminationGracePeriodSeconds")
	for i := range c.Pods {
		v := podView{
			maker: m, Pod: &c.Pods[i], spec: runtime.DeepCopyJSON(spec), node: cmp.Or(c.Node, defaultNode), owner: o, grace: grace,
			labels:      merged(own("labels"), map[string]string{"sources.knative.dev/source": "container-source-controller", "sources.knative.dev/containerSource": o.GetName()}),
			annotations: own("annotations"),
		}
		v.make()
	}
}
