package objects

// The schemas of kinds, for kubectl explain and its validation, without what all objects have. Of kinds that are only read
// they describe the fields of spec and status.

// openAPI is a schema of OpenAPI v3, as decoded from JSON.
type openAPI = map[string]any

// object is the schema of an object with fields.
func object(description string, fields openAPI) openAPI {
	return openAPI{"type": "object", "description": description, "properties": fields}
}

// view is the schema of a kind that is only read: by field, of spec and status, what it says.
func view(description string, spec, status map[string]string) openAPI {
	return object(description, openAPI{"spec": described("What is wanted.", spec), "status": described("What has been found.", status)})
}

// described is the schema of an object whose fields may have any value.
func described(description string, fields map[string]string) openAPI {
	properties := openAPI{}
	for name, what := range fields {
		properties[name] = openAPI{"description": what, "x-kubernetes-preserve-unknown-fields": true}
	}
	o := object(description, properties)
	o["x-kubernetes-preserve-unknown-fields"] = true
	return o
}

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
		"type":       scalar("string", "What the Secret is for; Opaque without it. It can't be changed."),
		"immutable":  scalar("boolean", "If true, only the metadata can be changed."),
	})
}

func namespaceSchema() openAPI {
	return object("Namespace is a scope for names of objects, and a part of the names of hosts.", openAPI{
		"spec": object("What is wanted.", openAPI{
			"finalizers": openAPI{"type": "array", "description": "What has to be done before it is gone.", "items": openAPI{"type": "string"}},
		}),
		"status": described("What has been found.", map[string]string{
			"phase": "Active, or Terminating while its objects are being deleted.", "conditions": "Why it can't be deleted.",
		}),
	})
}

// What several kinds say of themselves.
const (
	conditionsField = "Whether it is ready, by type, with reasons."
	observedField   = "The generation that this status is of."
	trafficField    = "The revisions that get requests, with percents, tags and the URLs of tags."
	urlField        = "Where it is reached."
	addressField    = "Where other services reach it."
	createdField    = "The newest revision."
	readyField      = "The newest revision that has become ready."
	protocolField   = "What the app speaks: http1 or h2c."
)

func routeSchema() openAPI {
	return view("Route shows which revisions get the requests of a Service.", map[string]string{"traffic": trafficField}, map[string]string{
		"url": urlField, "address": addressField, "traffic": trafficField, "conditions": conditionsField, "observedGeneration": observedField,
	})
}

func configurationSchema() openAPI {
	return view("Configuration shows what the newest revision of a Service is made of.",
		map[string]string{"template": "What the next revision is made of."}, map[string]string{
			"latestCreatedRevisionName": createdField, "latestReadyRevisionName": readyField,
			"conditions": conditionsField, "observedGeneration": observedField,
		})
}

func revisionSchema() openAPI {
	return view("Revision is a version of a Service's app and its settings. It never changes.", map[string]string{
		"containers":                  "The app, which has a port, and its sidecars.",
		"initContainers":              "What runs before them, one after the other.",
		"volumes":                     "Directories for containers.",
		"containerConcurrency":        "How many requests a replica gets at a time; 0: any number.",
		"timeoutSeconds":              "How long a request may take.",
		"responseStartTimeoutSeconds": "How long a request may take until its response begins.",
		"idleTimeoutSeconds":          "How long a request may take without a byte of it.",
	}, map[string]string{
		"actualReplicas": "How many replicas are ready.", "desiredReplicas": "How many replicas the autoscaler wants.",
		"containerStatuses": "The images of its containers.", "initContainerStatuses": "The images of its init containers.",
		"conditions": conditionsField, "observedGeneration": observedField,
	})
}

func podAutoscalerSchema() openAPI {
	return view("PodAutoscaler shows how a revision is scaled.", map[string]string{
		"scaleTargetRef": "What is scaled.", "containerConcurrency": "How many requests a replica gets at a time; 0: any number.",
		"reachability": "Whether requests can lead to the revision: Reachable or Unreachable.", "protocolType": protocolField,
	}, map[string]string{
		"desiredScale": "How many replicas are wanted.", "actualScale": "How many replicas are ready.",
		"serviceName": "The Service that gets the requests.", "metricsServiceName": "The Service whose replicas are asked for their statistics.",
		"conditions": conditionsField, "observedGeneration": observedField,
	})
}

func ingressSchema() openAPI {
	return view("Ingress shows which requests lead to which revisions.", map[string]string{
		"rules": "By host, the revisions with their percents.", "httpOption": "Enabled: requests in the clear are served.",
	}, map[string]string{
		"publicLoadBalancer": "Where requests from outside come in.", "privateLoadBalancer": "Where requests of other services come in.",
		"conditions": conditionsField, "observedGeneration": observedField,
	})
}

func serverlessServiceSchema() openAPI {
	return view("ServerlessService shows whether requests pass the activator.", map[string]string{
		"mode": "Proxy: requests pass the activator, which waits for replicas; Serve: they don't.", "numActivators": "How many activators there are.",
		"objectRef": "What is scaled.", "protocolType": protocolField,
	}, map[string]string{
		"serviceName": "The Service that gets the requests.", "privateServiceName": "The Service of the replicas.",
		"conditions": conditionsField, "observedGeneration": observedField,
	})
}

func podSchema() openAPI {
	return view("Pod is a replica: the processes of an app and its queue-proxy.", map[string]string{
		"containers": "The app, its sidecars and the queue-proxy.", "initContainers": "What runs before them, one after the other.",
		"volumes": "Directories for containers.", "nodeName": "The machine.", "restartPolicy": "Always: processes that end are started again.",
		"terminationGracePeriodSeconds": "How long it may take to end.",
	}, map[string]string{
		"phase": "Pending until all containers have been started, then Running.", "conditions": conditionsField,
		"containerStatuses": "The states of its containers.", "initContainerStatuses": "The states of its init containers.",
		"podIP": "Its address.", "podIPs": "Its addresses.", "hostIP": "The machine's address.", "hostIPs": "The machine's addresses.",
		"startTime": "When it was started.",
	})
}

func serviceSchema() openAPI {
	return view("Service is a name for replicas, or for a host.", map[string]string{
		"type": "ClusterIP: a name for replicas; ExternalName: another name for a host.", "externalName": "The host.",
		"clusterIP": "None: it has no address.", "ports": "Its ports, and those of replicas.", "selector": "The labels of its replicas.",
	}, map[string]string{"loadBalancer": "Empty: it has no load balancer."})
}

func endpointsSchema() openAPI {
	return described("Endpoints are the addresses of a Service's replicas.", map[string]string{"subsets": "The addresses, by ports."})
}

func endpointSliceSchema() openAPI {
	return described("EndpointSlice has addresses of a Service's replicas that have the same port.", map[string]string{
		"addressType": "IPv4.", "endpoints": "The addresses, and whether they are ready.", "ports": "Their ports.",
	})
}

func deploymentSchema() openAPI {
	return view("Deployment shows the replicas of a revision.", map[string]string{
		"replicas": "How many replicas the autoscaler wants.", "selector": "The labels of its pods.", "template": "What its pods are made of.",
		"strategy": "How pods would be replaced: a revision never changes.", "progressDeadlineSeconds": "How long a change may take.",
		"revisionHistoryLimit": "How many old versions are kept.",
	}, map[string]string{
		"replicas": "How many pods there are.", "readyReplicas": "How many of them are ready.", "availableReplicas": "How many of them are ready.",
		"updatedReplicas": "How many of them are as wanted: all.", "unavailableReplicas": "How many are missing or not ready.",
		"conditions": conditionsField, "observedGeneration": observedField,
	})
}

func eventSchema() openAPI {
	return described("Event is a record of something that happened to an object.", map[string]string{
		"involvedObject": "The object.", "reason": "What happened, in a word.", "message": "What happened.", "type": "Normal or Warning.",
		"source": "Which part of the quickstart reports it.", "reportingComponent": "Which part of the quickstart reports it.",
		"reportingInstance": "Empty: there is one.", "count": "How often it happened.",
		"firstTimestamp": "When it happened first.", "lastTimestamp": "When it happened last.",
	})
}
