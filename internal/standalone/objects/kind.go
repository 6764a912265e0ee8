package objects

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is a resource and the kind of its objects.
type kind struct {
	schema.GroupVersionResource
	name string
}

func (k kind) apiVersion() string { return k.GroupVersion().String() }

var (
	serving     = schema.GroupVersion{Group: "serving.knative.dev", Version: "v1"}
	autoscaling = schema.GroupVersion{Group: "autoscaling.internal.knative.dev", Version: "v1alpha1"}
	networking  = schema.GroupVersion{Group: "networking.internal.knative.dev", Version: "v1alpha1"}
	eventing    = schema.GroupVersion{Group: "eventing.knative.dev", Version: "v1"}
	sources     = schema.GroupVersion{Group: "sources.knative.dev", Version: "v1"}
	oldSources  = schema.GroupVersion{Group: "sources.knative.dev", Version: "v1beta2"}
	core        = schema.GroupVersion{Version: "v1"}
	apps        = schema.GroupVersion{Group: "apps", Version: "v1"}
	extensions  = schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"}
	discovery   = schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"}
)

var (
	knativeServices    = kind{serving.WithResource("services"), "Service"}
	routes             = kind{serving.WithResource("routes"), "Route"}
	configurations     = kind{serving.WithResource("configurations"), "Configuration"}
	revisions          = kind{serving.WithResource("revisions"), "Revision"}
	podAutoscalers     = kind{autoscaling.WithResource("podautoscalers"), "PodAutoscaler"}
	ingresses          = kind{networking.WithResource("ingresses"), "Ingress"}
	serverlessServices = kind{networking.WithResource("serverlessservices"), "ServerlessService"}
	brokers            = kind{eventing.WithResource("brokers"), "Broker"}
	triggers           = kind{eventing.WithResource("triggers"), "Trigger"}
	pingSources        = kind{sources.WithResource("pingsources"), "PingSource"}
	containerSources   = kind{sources.WithResource("containersources"), "ContainerSource"}
	sinkBindings       = kind{sources.WithResource("sinkbindings"), "SinkBinding"}
	pods               = kind{core.WithResource("pods"), "Pod"}
	services           = kind{core.WithResource("services"), "Service"}
	endpoints          = kind{core.WithResource("endpoints"), "Endpoints"}
	events             = kind{core.WithResource("events"), "Event"}
	configMaps         = kind{core.WithResource("configmaps"), "ConfigMap"}
	secrets            = kind{core.WithResource("secrets"), "Secret"}
	namespaces         = kind{core.WithResource("namespaces"), "Namespace"}
	deployments        = kind{apps.WithResource("deployments"), "Deployment"}
	definitions        = kind{extensions.WithResource("customresourcedefinitions"), "CustomResourceDefinition"}
	endpointSlices     = kind{discovery.WithResource("endpointslices"), "EndpointSlice"}
)
