package objects

import (
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// Kinds returns the resources of the quickstart's API, without their Admit. Names, categories and columns are those of
// Knative's CustomResourceDefinitions (knative.dev/serving/config/core/300-resources, knative.dev/networking/config,
// knative.dev/eventing/config/core/resources) and of Kubernetes (pkg/printers/internalversion/printers.go). The schemas of Services
// of Knative and of its eventing are left to the caller.
func Kinds() []kubeapi.Resource {
	ready, reason, name, age := conditionColumn("Ready", "status"), conditionColumn("Reason", "reason"), nameColumn(), ageColumn()
	var (
		serving  = []string{"all", "knative", "serving"}
		scaling  = []string{"knative-internal", "autoscaling"}
		network  = []string{"knative-internal", "networking"}
		all      = []string{"create", "update", "patch", "delete"}
		ofEvents = []string{"all", "knative", "eventing"}
		senders  = []string{"all", "knative", "sources"}
		sink     = field("Sink", "status", "sinkUri")
		pings    = []kubeapi.Column{name, sink, field("Schedule", "spec", "schedule"), age, ready, reason}
		fromItem = "it is made from its Service: change that"
	)
	return []kubeapi.Resource{
		{
			GroupVersionResource: knativeServices.GroupVersionResource, Kind: knativeServices.name, Singular: "service",
			ShortNames: []string{"kservice", "ksvc"}, Categories: serving, Namespaced: true, Writes: all,
			Columns: []kubeapi.Column{
				name, field("URL", "status", "url"),
				field("LatestCreated", "status", "latestCreatedRevisionName"), field("LatestReady", "status", "latestReadyRevisionName"), ready, reason,
			},
		},
		{
			GroupVersionResource: routes.GroupVersionResource, Kind: routes.name, Singular: "route",
			ShortNames: []string{"rt"}, Categories: serving, Namespaced: true, ReadOnly: fromItem,
			Columns: []kubeapi.Column{name, field("URL", "status", "url"), ready, reason},
			Schema:  routeSchema(),
		},
		{
			GroupVersionResource: configurations.GroupVersionResource, Kind: configurations.name, Singular: "configuration",
			ShortNames: []string{"config", "cfg"}, Categories: serving, Namespaced: true, ReadOnly: fromItem,
			Columns: []kubeapi.Column{
				name,
				field("LatestCreated", "status", "latestCreatedRevisionName"), field("LatestReady", "status", "latestReadyRevisionName"), ready, reason,
			},
			Schema: configurationSchema(),
		},
		{
			GroupVersionResource: revisions.GroupVersionResource, Kind: revisions.name, Singular: "revision",
			ShortNames: []string{"rev"}, Categories: serving, Namespaced: true, Writes: []string{"delete"}, ReadOnly: fromItem,
			Columns: []kubeapi.Column{
				name, field("Config Name", "metadata", "labels", knative.LabelConfiguration), field("Generation", "metadata", "labels", labelGeneration),
				ready, reason, number("Actual Replicas", "status", "actualReplicas"), number("Desired Replicas", "status", "desiredReplicas"),
			},
			Schema: revisionSchema(),
		},
		{
			GroupVersionResource: podAutoscalers.GroupVersionResource, Kind: podAutoscalers.name, Singular: "podautoscaler",
			ShortNames: []string{"kpa", "pa"}, Categories: scaling, Namespaced: true,
			ReadOnly: "it shows how its Revision is scaled: set annotations of autoscaling.knative.dev in the Service's template",
			Columns: []kubeapi.Column{
				name, number("DesiredScale", "status", "desiredScale"), number("ActualScale", "status", "actualScale"),
				ready, reason,
			},
			Schema: podAutoscalerSchema(),
		},
		{
			GroupVersionResource: ingresses.GroupVersionResource, Kind: ingresses.name, Singular: "ingress",
			ShortNames: []string{"kingress", "king"}, Categories: network, Namespaced: true,
			ReadOnly: "it shows where requests go: change the traffic of its Service",
			Columns:  []kubeapi.Column{name, ready, reason},
			Schema:   ingressSchema(),
		},
		{
			GroupVersionResource: serverlessServices.GroupVersionResource, Kind: serverlessServices.name, Singular: "serverlessservice",
			ShortNames: []string{"sks"}, Categories: network, Namespaced: true, ReadOnly: fromItem,
			Columns: []kubeapi.Column{
				name, field("Mode", "spec", "mode"), number("Activators", "spec", "numActivators"),
				field("ServiceName", "status", "serviceName"), field("PrivateServiceName", "status", "privateServiceName"), ready, reason,
			},
			Schema: serverlessServiceSchema(),
		},
		{
			GroupVersionResource: brokers.GroupVersionResource, Kind: brokers.name, Singular: "broker",
			Categories: ofEvents, Namespaced: true, Writes: all,
			Columns: []kubeapi.Column{
				name, field("URL", "status", "address", "url"), age, ready, reason,
				wide(field("Class", "metadata", "annotations", "eventing.knative.dev/broker.class")),
			},
		},
		{
			GroupVersionResource: triggers.GroupVersionResource, Kind: triggers.name, Singular: "trigger",
			Categories: ofEvents, Namespaced: true, Writes: all,
			Columns: []kubeapi.Column{name, field("Broker", "spec", "broker"), field("Subscriber_URI", "status", "subscriberUri"), age, ready, reason},
		},
		{
			GroupVersionResource: pingSources.GroupVersionResource, Kind: pingSources.name, Singular: "pingsource",
			Categories: senders, Namespaced: true, Writes: all,
			Columns: pings,
		},
		{
			GroupVersionResource: oldSources.WithResource(pingSources.Resource), Stored: pingSources.Version, Kind: pingSources.name, Singular: "pingsource",
			Categories: senders, Namespaced: true, Writes: all,
			Columns: pings,
		},
		{
			GroupVersionResource: containerSources.GroupVersionResource, Kind: containerSources.name, Singular: "containersource",
			Categories: senders, Namespaced: true, Writes: all,
			Columns: []kubeapi.Column{name, sink, age, ready, reason},
		},
		{
			GroupVersionResource: sinkBindings.GroupVersionResource, Kind: sinkBindings.name, Singular: "sinkbinding",
			Categories: []string{"all", "knative", "sources", "bindings"}, Namespaced: true, Writes: all,
			Columns: []kubeapi.Column{name, sink, age, ready, reason},
		},
		{
			GroupVersionResource: pods.GroupVersionResource, Kind: pods.name, Singular: "pod",
			ShortNames: []string{"po"}, Categories: []string{"all"}, Namespaced: true,
			ReadOnly: "it is a replica of a Revision, which the autoscaler starts and ends: change the Service, or press r in the quickstart's terminal to replace all",
			Columns:  podColumns(), Schema: podSchema(),
		},
		{
			GroupVersionResource: services.GroupVersionResource, Kind: services.name, Singular: "service",
			ShortNames: []string{"svc"}, Categories: []string{"all"}, Namespaced: true,
			ReadOnly: "the quickstart serves Services of serving.knative.dev/v1: apply one of those",
			Columns: []kubeapi.Column{
				name, field("Type", "spec", "type"), text("Cluster-IP", clusterIP), text("External-IP", externalIP),
				text("Port(s)", servicePorts), age, wide(selector("spec", "selector")),
			},
			Schema: serviceSchema(),
		},
		{
			GroupVersionResource: endpoints.GroupVersionResource, Kind: endpoints.name, Singular: "endpoints",
			ShortNames: []string{"ep"}, Namespaced: true, ReadOnly: "it shows which replicas there are: the autoscaler starts and ends them",
			Columns: []kubeapi.Column{name, text("Endpoints", endpointAddresses), age}, Schema: endpointsSchema(),
		},
		{
			GroupVersionResource: endpointSlices.GroupVersionResource, Kind: endpointSlices.name, Singular: "endpointslice",
			Namespaced: true, ReadOnly: "it shows which replicas there are: the autoscaler starts and ends them",
			Columns: []kubeapi.Column{name, field("AddressType", "addressType"), text("Ports", slicePorts), text("Endpoints", sliceAddresses), age},
			Schema:  endpointSliceSchema(),
		},
		{
			GroupVersionResource: deployments.GroupVersionResource, Kind: deployments.name, Singular: "deployment",
			ShortNames: []string{"deploy"}, Categories: []string{"all"}, Namespaced: true,
			ReadOnly: "it is made from a Revision, and the autoscaler sets its replicas: change the Service; " +
				"annotations of autoscaling.knative.dev in its template bound the replicas",
			Columns: []kubeapi.Column{
				name, text("Ready", readyReplicas), count("Up-to-date", "status", "updatedReplicas"), count("Available", "status", "availableReplicas"), age,
				wide(ofContainers("Containers", "name")), wide(ofContainers("Images", "image")), wide(selector("spec", "selector", "matchLabels")),
			},
			Schema: deploymentSchema(),
		},
		{
			GroupVersionResource: events.GroupVersionResource, Kind: events.name, Singular: "event",
			ShortNames: []string{"ev"}, Namespaced: true, ReadOnly: "events are records of what the quickstart has done",
			Columns: eventColumns(), Schema: eventSchema(),
		},
		{
			GroupVersionResource: configMaps.GroupVersionResource, Kind: configMaps.name, Singular: "configmap",
			ShortNames: []string{"cm"}, Namespaced: true, Writes: all, Patch: &ConfigMap{},
			Columns: []kubeapi.Column{name, sum("Data", "data", "binaryData"), age}, Schema: configMapSchema(),
		},
		{
			GroupVersionResource: secrets.GroupVersionResource, Kind: secrets.name, Singular: "secret",
			Namespaced: true, Writes: all, Patch: &Secret{},
			Columns: []kubeapi.Column{name, field("Type", "type"), sum("Data", "data"), age}, Schema: secretSchema(),
		},
		{
			GroupVersionResource: namespaces.GroupVersionResource, Kind: namespaces.name, Singular: "namespace",
			ShortNames: []string{"ns"}, Writes: all, Patch: &Namespace{},
			Columns: []kubeapi.Column{name, field("Status", "status", "phase"), age}, Schema: namespaceSchema(),
		},
		{
			GroupVersionResource: definitions.GroupVersionResource, Kind: definitions.name, Singular: "customresourcedefinition",
			ShortNames: []string{"crd", "crds"}, Categories: []string{"api-extensions"},
			ReadOnly: "the quickstart has the kinds that it serves, and no others",
			Columns:  definitionColumns(), Schema: definitionSchema(),
		},
	}
}
