package objects

// The schemas of kinds, for kubectl explain and its validation, without what all objects have. Of kinds that are only read
// they describe the fields of spec and status.

// openAPI is a schema of OpenAPI v3, as decoded from JSON.
type openAPI = map[string]any

// object is the schema of an object with fields.
func object(description string, fields openAPI) openAPI {
	return openAPI{"type": "object", "description": description, "properties": fields}
}

// view is the schema of a kind that is only read, with the fields of its spec and status.
func view(description string, spec, status openAPI) openAPI {
	return object(description, openAPI{"spec": open("What is wanted.", spec), "status": open("What has been found.", status)})
}

// open is the schema of an object that may have other fields, too.
func open(description string, fields openAPI) openAPI {
	o := object(description, fields)
	o["x-kubernetes-preserve-unknown-fields"] = true
	return o
}

// free is the schema of any object.
func free(description string) openAPI {
	return openAPI{"type": "object", "description": description, "x-kubernetes-preserve-unknown-fields": true}
}

// list is the schema of a list of any objects.
func list(description string) openAPI {
	return openAPI{
		"type": "array", "description": description,
		"items": openAPI{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
	}
}

func integer(description string) openAPI { return scalar("integer", description) }
func str(description string) openAPI     { return scalar("string", description) }

func scalar(kind, description string) openAPI {
	return openAPI{"type": kind, "description": description}
}

// stringMap is the schema of a map of strings; format byte: in base64.
func stringMap(description, format string) openAPI {
	value := openAPI{"type": "string"}
	if format != "" {
		value["format"] = format
	}
	return openAPI{"type": "object", "description": description, "additionalProperties": value}
}

func configMapSchema() openAPI {
	return object("ConfigMap has settings for apps, which get them as variables or files.", openAPI{
		"data":       stringMap("The settings: texts by key.", ""),
		"binaryData": stringMap("Settings that aren't texts, in base64, by key. No key may be in data too.", "byte"),
		"immutable":  scalar("boolean", "If true, only the metadata can be changed."),
	})
}

func secretSchema() openAPI {
	return object("Secret has confidential settings for apps, such as passwords, which get them as variables or files.", openAPI{
		"data":       stringMap("The settings, in base64, by key.", "byte"),
		"stringData": stringMap("Settings as texts, by key. They are written to data, and never read.", ""),
		"type":       str("What the Secret is for; Opaque without it. It can't be changed."),
		"immutable":  scalar("boolean", "If true, only the metadata can be changed."),
	})
}

func namespaceSchema() openAPI {
	return object("Namespace is a scope for names of objects, and a part of the names of hosts.", openAPI{
		"spec": object("What is wanted.", openAPI{
			"finalizers": openAPI{"type": "array", "description": "What has to be done before it is gone.", "items": openAPI{"type": "string"}},
		}),
		"status": open("What has been found.", openAPI{
			"phase": str("Active, or Terminating while its objects are being deleted."), "conditions": list("Why it can't be deleted."),
		}),
	})
}

// What several kinds say of themselves.
const (
	observedField = "The generation that this status is of."
	trafficField  = "The revisions that get requests, with percents, tags and the URLs of tags."
	urlField      = "Where it is reached."
	addressField  = "Where other services reach it."
	createdField  = "The newest revision."
	readyField    = "The newest revision that has become ready."
	protocolField = "What the app speaks: http1 or h2c."
)

// conditions is the schema of conditions: specs/common/error-signalling.md of Knative.
func conditions() openAPI {
	one := open("Condition is one of the things that make it ready.", openAPI{
		"type": str("What it is about, such as Ready."), "status": str("True, False or Unknown."), "severity": str("Info: it has no part in Ready."),
		"reason": str("Why, in a word."), "message": str("Why."), "lastTransitionTime": str("When its status changed last."),
	})
	one["required"] = []any{"type", "status"}
	return openAPI{"type": "array", "description": "Whether it is ready, by type, with reasons.", "items": one}
}

// WithStatus returns the schema of a kind that clients write, with what all statuses have.
func WithStatus(schema openAPI) openAPI {
	schema["properties"].(openAPI)["status"] = open("What has been found.", openAPI{"conditions": conditions(), "observedGeneration": integer(observedField)})
	return schema
}

func routeSchema() openAPI {
	return view("Route shows which revisions get the requests of a Service.", openAPI{"traffic": list(trafficField)}, openAPI{
		"url": str(urlField), "address": free(addressField), "traffic": list(trafficField), "conditions": conditions(), "observedGeneration": integer(observedField),
	})
}

func configurationSchema() openAPI {
	return view("Configuration shows what the newest revision of a Service is made of.",
		openAPI{"template": free("What the next revision is made of.")}, openAPI{
			"latestCreatedRevisionName": str(createdField), "latestReadyRevisionName": str(readyField),
			"conditions": conditions(), "observedGeneration": integer(observedField),
		})
}

func revisionSchema() openAPI {
	return view("Revision is a version of a Service's app and its settings. It never changes.", openAPI{
		"containers":                  list("The app, which has a port, and its sidecars."),
		"initContainers":              list("What runs before them, one after the other."),
		"volumes":                     list("Directories for containers."),
		"containerConcurrency":        integer("How many requests a replica gets at a time; 0: any number."),
		"timeoutSeconds":              integer("How long a request may take."),
		"responseStartTimeoutSeconds": integer("How long a request may take until its response begins."),
		"idleTimeoutSeconds":          integer("How long a request may take without a byte of it."),
	}, openAPI{
		"actualReplicas": integer("How many replicas are ready."), "desiredReplicas": integer("How many replicas the autoscaler wants."),
		"containerStatuses": list("The images of its containers."), "initContainerStatuses": list("The images of its init containers."),
		"conditions": conditions(), "observedGeneration": integer(observedField),
	})
}

func podAutoscalerSchema() openAPI {
	return view("PodAutoscaler shows how a revision is scaled.", openAPI{
		"scaleTargetRef": free("What is scaled."), "containerConcurrency": integer("How many requests a replica gets at a time; 0: any number."),
		"reachability": str("Whether requests can lead to the revision: Reachable or Unreachable."), "protocolType": str(protocolField),
	}, openAPI{
		"desiredScale": integer("How many replicas are wanted."), "actualScale": integer("How many replicas are ready."),
		"serviceName": str("The Service that gets the requests."), "metricsServiceName": str("The Service whose replicas are asked for their statistics."),
		"conditions": conditions(), "observedGeneration": integer(observedField),
	})
}

func ingressSchema() openAPI {
	return view("Ingress shows which requests lead to which revisions.", openAPI{
		"rules": list("By host, the revisions with their percents."), "httpOption": str("Enabled: requests in the clear are served."),
	}, openAPI{
		"publicLoadBalancer": free("Where requests from outside come in."), "privateLoadBalancer": free("Where requests of other services come in."),
		"conditions": conditions(), "observedGeneration": integer(observedField),
	})
}

func serverlessServiceSchema() openAPI {
	return view("ServerlessService shows whether requests pass the activator.", openAPI{
		"mode": str("Proxy: requests pass the activator, which waits for replicas; Serve: they don't."), "numActivators": integer("How many activators there are."),
		"objectRef": free("What is scaled."), "protocolType": str(protocolField),
	}, openAPI{
		"serviceName": str("The Service that gets the requests."), "privateServiceName": str("The Service of the replicas."),
		"conditions": conditions(), "observedGeneration": integer(observedField),
	})
}

func podSchema() openAPI {
	return view("Pod is a replica: the processes of an app and its queue-proxy.", openAPI{
		"containers": list("The app, its sidecars and the queue-proxy."), "initContainers": list("What runs before them, one after the other."),
		"volumes": list("Directories for containers."), "nodeName": str("The machine."), "restartPolicy": str("Always: processes that end are started again."),
		"terminationGracePeriodSeconds": integer("How long it may take to end."),
	}, openAPI{
		"phase": str("Pending until all containers have been started, then Running."), "conditions": conditions(),
		"containerStatuses": list("The states of its containers."), "initContainerStatuses": list("The states of its init containers."),
		"podIP": str("Its address."), "podIPs": list("Its addresses."), "hostIP": str("The machine's address."), "hostIPs": list("The machine's addresses."),
		"startTime": str("When it was started."),
	})
}

func serviceSchema() openAPI {
	return view("Service is a name for replicas, or for a host.", openAPI{
		"type": str("ClusterIP: a name for replicas; ExternalName: another name for a host."), "externalName": str("The host."),
		"clusterIP": str("None: it has no address."), "ports": list("Its ports, and those of replicas."), "selector": free("The labels of its replicas."),
	}, openAPI{"loadBalancer": free("Empty: it has no load balancer.")})
}

func endpointsSchema() openAPI {
	return open("Endpoints are the addresses of a Service's replicas.", openAPI{"subsets": list("The addresses, by ports.")})
}

func endpointSliceSchema() openAPI {
	return open("EndpointSlice has addresses of a Service's replicas that have the same port.", openAPI{
		"addressType": str("IPv4."), "endpoints": list("The addresses, and whether they are ready."), "ports": list("Their ports."),
	})
}

func deploymentSchema() openAPI {
	return view("Deployment shows the replicas of a revision.", openAPI{
		"replicas": integer("How many replicas the autoscaler wants."), "selector": free("The labels of its pods."), "template": free("What its pods are made of."),
		"strategy": free("How pods would be replaced: a revision never changes."), "progressDeadlineSeconds": integer("How long a change may take."),
		"revisionHistoryLimit": integer("How many old versions are kept."),
	}, openAPI{
		"replicas": integer("How many pods there are."), "readyReplicas": integer("How many of them are ready."), "availableReplicas": integer("How many of them are ready."),
		"updatedReplicas": integer("How many of them are as wanted: all."), "unavailableReplicas": integer("How many are missing or not ready."),
		"conditions": conditions(), "observedGeneration": integer(observedField),
	})
}

func eventSchema() openAPI {
	return open("Event is a record of something that happened to an object.", openAPI{
		"involvedObject": free("The object."), "reason": str("What happened, in a word."), "message": str("What happened."), "type": str("Normal or Warning."),
		"source": free("Which part of the quickstart reports it."), "reportingComponent": str("Which part of the quickstart reports it."),
		"reportingInstance": str("Empty: there is one."), "count": integer("How often it happened."),
		"firstTimestamp": str("When it happened first."), "lastTimestamp": str("When it happened last."),
	})
}
