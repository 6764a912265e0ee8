package objects

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// revisionView makes the objects of a revision.
type revisionView struct {
	*maker
	*Revision

	of       *serviceView
	spec     map[string]any // the template's
	protocol protocol
	labels   map[string]string // of all that belongs to the revision
	object   made
	started  bool // it has been ready at least once

	serverless, deployment kubeapi.Object
}

func (v *revisionView) make() {
	v.protocol = protocolOf(v.Template)
	if v.spec, _, _ = unstructured.NestedMap(v.Template, "spec"); v.spec == nil { // a copy
		v.spec = map[string]any{}
	}
	v.makeRevision()
	autoscaler := v.makeAutoscaler()
	v.setStatus()
	v.makeServerless(autoscaler)
	v.makeNetwork()
	v.makeDeployment()
	for i := range v.Pods {
		labels, annotations := v.podMeta()
		p := podView{
			maker: v.maker, Pod: &v.Pods[i], spec: v.podSpec(v.Pods[i].App, v.Pods[i].Proxy), node: v.node(),
			labels: labels, annotations: annotations, owner: v.deployment, grace: v.grace(),
		}
		p.make()
	}
}

// Names of what belongs to the revision (knative.dev/serving/pkg/reconciler/revision/resources/names).
func (v *revisionView) deploymentName() string { return childName(v.Name, "-deployment") }
func (v *revisionView) privateName() string    { return childName(v.Name, "-private") }

// own returns labels or annotations of the template.
func (v *revisionView) own(field string) map[string]string {
	m, _, _ := unstructured.NestedStringMap(v.Template, "metadata", field)
	return m
}

func (v *revisionView) makeRevision() {
	state := "reserve"
	if v.Routed {
		state = "active"
	}
	labels := merged(v.own("labels"), map[string]string{
		knative.LabelConfiguration: v.of.name(), labelConfigurationUID: string(v.of.configuration.GetUID()),
		labelGeneration:      strconv.FormatInt(v.Generation, 10),
		knative.LabelService: v.of.name(), labelServiceUID: string(v.of.service.GetUID()),
		labelRoutingState: state,
	})
	meta := metadata{name: v.Name, labels: labels, owner: v.of.configuration.Object, created: v.Created}
	old := v.old(revisions, meta)
	meta.annotations = v.annotations(old, state)
	v.object = v.add(revisions, meta, map[string]any{"spec": v.spec})
	v.labels = merged(map[string]string{"app": v.Name}, without(labels, labelRoutingState, labelRoute), map[string]string{
		knative.LabelRevision: v.Name, labelRevisionUID: string(v.object.GetUID()),
	})
}

func (v *revisionView) setStatus() {
	healthy, available := v.healthy(), v.available()
	status := v.status(v.object, v.active(true), healthy, available, ready(healthy, available))
	status["actualReplicas"], status["desiredReplicas"] = v.Actual, v.Desired
	for field, list := range map[string]string{"containerStatuses": "containers", "initContainerStatuses": "initContainers"} {
		var images []any
		for _, c := range items(v.spec, list) {
			image := map[string]any{"name": c["name"]}
			// A tag isn't resolved, as for Knative's registries-skipping-tag-resolving.
			if ref, _ := c["image"].(string); strings.Contains(ref, "@") {
				image["imageDigest"] = ref
			}
			images = append(images, image)
		}
		if len(images) > 0 {
			status[field] = images
		}
	}
	v.object.Object.Object["status"] = status
}

// annotations returns those of the Revision: of what made it, and since when it has been routed or not.
func (v *revisionView) annotations(old kubeapi.Object, state string) map[string]string {
	creator, since := v.of.service.GetAnnotations()[annotationModifier], format(v.now)
	if old != nil {
		creator = old.GetAnnotations()[annotationCreator]
		if before := old.GetAnnotations()[annotationRoutingSince]; before != "" && old.GetLabels()[labelRoutingState] == state {
			since = before
		}
	}
	all := merged(v.own("annotations"), map[string]string{annotationRoutingSince: since})
	if creator != "" {
		all[annotationCreator] = creator
	}
	if v.Routed {
		all[annotationRoutes] = v.of.name()
	}
	return all
}

// deploying is the reason of conditions that will become True when the first pod is ready.
const deploying = "Deploying"

// ofContainers: the revision can't serve, and its containers are the reason.
func (v *revisionView) ofContainers() bool {
	return v.Ready == False && (strings.HasPrefix(v.Reason, "ExitCode") || v.Reason == "OOMKilled" || v.Reason == "ContainerMissing")
}

func (v *revisionView) healthy() condition {
	switch {
	case v.ofContainers():
		return condition{kind: "ContainerHealthy", status: False, reason: v.Reason, message: v.Message}
	case v.started:
		return condition{kind: "ContainerHealthy", status: True}
	}
	return v.unknown("ContainerHealthy")
}

func (v *revisionView) available() condition {
	switch {
	case v.Ready == False && !v.ofContainers():
		return condition{kind: "ResourcesAvailable", status: False, reason: v.Reason, message: v.Message}
	case v.Ready == Unknown, !v.started:
		return v.unknown("ResourcesAvailable")
	}
	return condition{kind: "ResourcesAvailable", status: True}
}

// unknown returns a condition of a revision that isn't ready yet.
func (v *revisionView) unknown(kind string) condition {
	if v.Ready != Unknown {
		return condition{kind: kind, status: Unknown, reason: deploying}
	}
	return condition{kind: kind, status: Unknown, reason: cmp.Or(v.Reason, deploying), message: v.Message}
}

// active is whether the revision has pods for its requests.
func (v *revisionView) active(info bool) condition {
	c := condition{kind: "Active", info: info}
	switch {
	case v.Desired == 0:
		c.status, c.reason, c.message = False, "NoTraffic", "The target is not receiving traffic."
	case v.Actual < max(v.MinScale, 1):
		c.status, c.reason = Unknown, "Queued"
		c.message = "Requests to the target are being buffered as resources are provisioned."
	default:
		c.status = True
	}
	return c
}

// reachability of a revision: one whose pods all fail is not kept.
func (v *revisionView) reachability() string {
	if !v.Routed || v.Ready == False && v.Desired > 0 && v.Actual == 0 {
		return "Unreachable"
	}
	return "Reachable"
}

// inherited returns the Revision's annotations without those that are about itself.
func (v *revisionView) inherited() map[string]string {
	return without(v.object.GetAnnotations(), annotationRoutes, annotationRoutingSince)
}

// plain returns them without those about scaling too.
func (v *revisionView) plain() map[string]string {
	m := v.inherited()
	maps.DeleteFunc(m, func(key, _ string) bool {
		return strings.HasPrefix(key, strings.TrimSuffix(knative.AutoscalingPrefix, "/"))
	})
	return m
}

// target refers to what is scaled.
func (v *revisionView) target() map[string]any {
	return map[string]any{"apiVersion": deployments.apiVersion(), "kind": deployments.name, "name": v.deploymentName()}
}

func (v *revisionView) makeAutoscaler() kubeapi.Object {
	spec := map[string]any{"scaleTargetRef": v.target(), "reachability": v.reachability(), "protocolType": string(v.protocol)}
	if n, _ := v.spec["containerConcurrency"].(int64); n != 0 {
		spec["containerConcurrency"] = n
	}
	o := v.add(podAutoscalers, metadata{
		name:   v.Name,
		labels: v.labels,
		annotations: merged(map[string]string{
			annotationClass: "kpa.autoscaling.knative.dev", annotationMetric: "concurrency",
		}, v.inherited()),
		owner: v.object.Object,
	}, map[string]any{"spec": spec})
	const initialized = "ScaleTargetInitialized"
	v.started = v.Ready == True || ConditionOf(o.old, initialized)["status"] == string(True)
	started := condition{kind: initialized, status: Unknown}
	if v.started {
		started.status = True
	}
	active, routable := v.active(false), condition{kind: "SKSReady", status: True}
	status := v.status(o, active, started, routable, ready(active, started, routable))
	status["actualScale"], status["desiredScale"] = v.Actual, v.Desired
	status["serviceName"], status["metricsServiceName"] = v.Name, v.privateName()
	o.Object.Object["status"] = status
	return o.Object
}

// makeServerless makes the ServerlessService. Its mode is Proxy: the activator stays in the path here.
func (v *revisionView) makeServerless(autoscaler kubeapi.Object) {
	o := v.add(serverlessServices, metadata{
		name:        v.Name,
		labels:      v.labels,
		annotations: without(autoscaler.GetAnnotations(), annotationMetric),
		owner:       autoscaler,
	}, map[string]any{"spec": map[string]any{
		"mode": "Proxy", "numActivators": int64(1), "objectRef": v.target(), "protocolType": string(v.protocol),
	}})
	populated := condition{kind: "EndpointsPopulated", status: True}
	status := v.status(o, populated, ready(populated), condition{
		kind: "ActivatorEndpointsPopulated", status: True, info: true,
		reason: "ActivatorEndpointsPopulated", message: "Revision is backed by Activator",
	})
	status["serviceName"], status["privateServiceName"] = v.Name, v.privateName()
	o.Object.Object["status"] = status
	v.serverless = o.Object
}

// makeNetwork makes the Services for requests and for the autoscaler, which have no virtual address here, and their endpoints.
func (v *revisionView) makeNetwork() {
	at, name := v.protocol.servicePort()
	port := func(name string, port, target int64) map[string]any {
		return map[string]any{"name": name, "port": port, "targetPort": target, "protocol": "TCP"}
	}
	requests := port(name, at, v.protocol.queuePort())
	v.protocol.setAppProtocol(requests)
	for _, s := range []struct{ name, kind string }{{v.Name, knative.ServiceTypePublic}, {v.privateName(), knative.ServiceTypePrivate}} {
		meta := metadata{
			name:        s.name,
			labels:      merged(v.labels, map[string]string{labelServerless: v.Name, knative.LabelServiceType: s.kind}),
			annotations: v.serverless.GetAnnotations(),
			owner:       v.serverless,
		}
		spec := map[string]any{
			"type": "ClusterIP", "clusterIP": "None", "clusterIPs": []any{"None"}, "sessionAffinity": "None",
			"ipFamilies": []any{"IPv4"}, "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "ports": []any{maps.Clone(requests)},
		}
		if s.kind == knative.ServiceTypePrivate {
			spec["selector"] = map[string]any{labelRevisionUID: string(v.object.GetUID())}
		}
		service := v.add(services, meta, map[string]any{"spec": spec, "status": map[string]any{"loadBalancer": map[string]any{}}})
		v.makeEndpoints(meta, name)
		for i := range v.Pods {
			v.makeSlice(service.Object, &v.Pods[i], name)
		}
	}
}

// port returns the port of a pod for requests.
func (v *revisionView) port(name string, p *Pod) map[string]any {
	port := map[string]any{"name": name, "port": p.Proxy, "protocol": "TCP"}
	v.protocol.setAppProtocol(port)
	return port
}

// reference refers to a pod.
func (v *revisionView) reference(p *Pod) map[string]any {
	return map[string]any{"kind": pods.name, "namespace": v.namespace, "name": p.Name, "uid": p.UID}
}

// makeEndpoints makes the Endpoints of a Service: each pod is a subset, since it has a port of its own.
func (v *revisionView) makeEndpoints(meta metadata, port string) {
	var subsets []any
	for i := range v.Pods {
		p := &v.Pods[i]
		if !p.Ending.IsZero() {
			continue
		}
		field := "notReadyAddresses"
		if p.Ready {
			field = "addresses"
		}
		subsets = append(subsets, map[string]any{
			field:   []any{map[string]any{"ip": address, "nodeName": v.node(), "targetRef": v.reference(p)}},
			"ports": []any{v.port(port, p)},
		})
	}
	fields := map[string]any{}
	if len(subsets) > 0 {
		fields["subsets"] = subsets
	}
	v.add(endpoints, meta, fields)
}

// makeSlice makes the EndpointSlice of a Service for one pod.
func (v *revisionView) makeSlice(service kubeapi.Object, p *Pod, port string) {
	ending := !p.Ending.IsZero()
	v.add(endpointSlices, metadata{
		name: childName(service.GetName(), "-"+strings.TrimPrefix(p.Name, v.Name+"-")),
		labels: merged(service.GetLabels(), map[string]string{
			"kubernetes.io/service-name":             service.GetName(),
			"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
		}),
		owner:   service,
		created: p.Created,
	}, map[string]any{
		"addressType": "IPv4",
		"endpoints": []any{map[string]any{
			"addresses": []any{address}, "nodeName": v.node(), "targetRef": v.reference(p),
			"conditions": map[string]any{"ready": p.Ready && !ending, "serving": p.Ready, "terminating": ending},
		}},
		"ports": []any{v.port(port, p)},
	})
}

// defaultNode is the name of the machine if there is none.
const defaultNode = "sluice"

func (v *revisionView) node() string { return cmp.Or(v.of.Node, defaultNode) }

// podMeta returns the labels and annotations of the Deployment's template and its pods.
func (v *revisionView) podMeta() (labels, annotations map[string]string) {
	annotations = v.plain()
	if name, ok := v.serving()["name"].(string); ok {
		annotations[annotationContainer] = name
	}
	return v.labels, annotations
}

// serving returns the container that gets the requests.
func (v *revisionView) serving() map[string]any {
	all := items(v.spec, "containers")
	for _, c := range all {
		if len(items(c, "ports")) > 0 {
			return c
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// QueueProxyImage is what stands for the queue-proxy, which is the quickstart's own program.
const QueueProxyImage = "sluice.dev/queue-proxy"

// podSpec returns a pod's spec with the ports of its app and its queue-proxy.
func (v *revisionView) podSpec(app, proxy int64) map[string]any {
	spec := runtime.DeepCopyJSON(v.spec)
	for _, field := range []string{"containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds"} {
		delete(spec, field)
	}
	serving := v.serving()["name"]
	containers, _ := spec["containers"].([]any)
	for _, c := range items(spec, "containers") {
		env, _ := c["env"].([]any)
		variable := func(name, value string) { env = append(env, map[string]any{"name": name, "value": value}) }
		if c["name"] == serving {
			c["ports"] = []any{map[string]any{"name": "user-port", "containerPort": app, "protocol": "TCP"}}
			variable("PORT", strconv.FormatInt(app, 10))
			if probe, ok := c["readinessProbe"].(map[string]any); ok && probe["exec"] == nil {
				delete(c, "readinessProbe") // the queue-proxy makes it
			}
		}
		variable("K_REVISION", v.Name)
		variable("K_CONFIGURATION", v.of.name())
		variable("K_SERVICE", v.of.name())
		c["env"] = env
	}
	spec["containers"] = append(containers, map[string]any{
		"name": "queue-proxy", "image": QueueProxyImage, "resources": map[string]any{},
		"ports": []any{map[string]any{"name": "queue-port", "containerPort": proxy, "protocol": "TCP"}},
	})
	spec["terminationGracePeriodSeconds"] = v.grace()
	for field, value := range map[string]string{"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"} {
		if spec[field] == nil {
			spec[field] = value
		}
	}
	return spec
}

// grace is how many seconds a pod may take to end: in Knative as long as a request.
func (v *revisionView) grace() int64 {
	for _, field := range []string{"terminationGracePeriodSeconds", "timeoutSeconds"} {
		if n, ok := v.spec[field].(int64); ok {
			return n
		}
	}
	return 0
}

func (v *revisionView) makeDeployment() {
	app := int64(8080) // Knative's default
	for _, p := range items(v.serving(), "ports") {
		if n, ok := p["containerPort"].(int64); ok && n != 0 {
			app = n
		}
	}
	labels, annotations := v.podMeta()
	template := map[string]any{"labels": toAny(labels)}
	if len(annotations) > 0 {
		template["annotations"] = toAny(annotations)
	}
	o := v.add(deployments, metadata{
		name:        v.deploymentName(),
		labels:      v.labels,
		annotations: merged(v.plain(), map[string]string{"deployment.kubernetes.io/revision": "1"}),
		owner:       v.object.Object,
	}, map[string]any{"spec": map[string]any{
		"replicas":                v.Desired,
		"selector":                map[string]any{"matchLabels": map[string]any{labelRevisionUID: string(v.object.GetUID())}},
		"progressDeadlineSeconds": int64(600), "revisionHistoryLimit": int64(0),
		"strategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": "25%", "maxUnavailable": int64(0)}},
		"template": map[string]any{"metadata": template, "spec": v.podSpec(app, v.protocol.queuePort())},
	}})
	v.deployment = o.Object

	var replicas int64
	for i := range v.Pods {
		if v.Pods[i].Ending.IsZero() {
			replicas++
		}
	}
	available := condition{
		kind: "Available", status: True, reason: "MinimumReplicasAvailable", message: "Deployment has minimum availability.",
	}
	if v.Actual < v.Desired {
		available = condition{
			kind: "Available", status: False, reason: "MinimumReplicasUnavailable",
			message: "Deployment does not have minimum availability.",
		}
	}
	progressing := condition{kind: "Progressing", status: True, reason: "NewReplicaSetAvailable"}
	switch {
	case v.Reason == "ProgressDeadlineExceeded":
		progressing.status, progressing.reason, progressing.message = False, v.Reason, v.Message
	case v.Actual < v.Desired:
		progressing.reason = "ReplicaSetUpdated"
	}
	status := v.status(o, available, progressing)
	for _, c := range items(status, "conditions") {
		c["lastUpdateTime"] = c["lastTransitionTime"]
	}
	for field, n := range map[string]int64{
		"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": v.Actual, "availableReplicas": v.Actual,
		"unavailableReplicas": max(v.Desired-v.Actual, 0),
	} {
		setNonzero(status, field, n)
	}
	o.Object.Object["status"] = status
}

// toAny returns m as decoded from JSON.
func toAny(m map[string]string) map[string]any {
	all := make(map[string]any, len(m))
	for key, value := range m {
		all[key] = value
	}
	return all
}
