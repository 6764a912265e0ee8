package objects

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// address is that of every replica and of the ingress.
const address = "127.0.0.1"

// serviceView makes the objects of a service.
type serviceView struct {
	*maker
	*Service

	service, configuration, route made
}

// make makes them. A status comes after what it depends on.
func (v *serviceView) make() {
	v.Traffic = slices.Clone(v.Traffic)
	for i, t := range v.Traffic {
		if t.Latest && t.Revision == "" {
			v.Traffic[i].Revision = v.LatestReady
		}
	}
	v.makeService()
	v.makeConfiguration()
	v.makeRoute()
	configured, routed := v.configured(), v.assigned()
	v.setStatuses(configured, routed)
	v.makeIngress()
	v.makeServices()
	for i := range v.Revisions {
		r := revisionView{maker: v.maker, Revision: &v.Revisions[i], of: v}
		r.make()
	}
}

// makeService adds a copy of the Service.
func (v *serviceView) makeService() {
	o := v.Object.DeepCopy()
	old := v.present(knativeServices.GroupResource(), v.namespace, o.GetName())
	if old != nil && old.GetUID() != o.GetUID() {
		old = nil
	}
	v.service = made{Object: o, old: old}
	v.items = append(v.items, Item{knativeServices.GroupResource(), o})
}

func (v *serviceView) name() string { return v.Object.GetName() }

func (v *serviceView) makeConfiguration() {
	template, _, _ := unstructured.NestedMap(v.Object.Object, "spec", "template")
	v.configuration = v.add(configurations, metadata{
		name:        v.name(),
		labels:      merged(v.service.GetLabels(), map[string]string{knative.LabelService: v.name(), labelServiceUID: string(v.service.GetUID())}),
		annotations: merged(without(v.service.GetAnnotations(), annotationLastApplied, annotationRollout, annotationOldRollout), map[string]string{annotationRoutes: v.name()}),
		owner:       v.service.Object,
	}, map[string]any{"spec": map[string]any{"template": template}})
	if latest := v.revision(v.LatestCreated); latest != nil {
		v.configuration.SetGeneration(latest.Generation) // a revision is made of each
	}
}

func (v *serviceView) makeRoute() {
	traffic, _, _ := unstructured.NestedSlice(v.Object.Object, "spec", "traffic")
	for _, t := range traffic {
		if t, ok := t.(map[string]any); ok && (t["revisionName"] == nil || t["revisionName"] == "") {
			t["configurationName"] = v.name()
		}
	}
	v.route = v.add(routes, metadata{
		name:        v.name(),
		labels:      merged(v.service.GetLabels(), map[string]string{knative.LabelService: v.name()}),
		annotations: without(v.service.GetAnnotations(), annotationLastApplied),
		owner:       v.service.Object,
	}, map[string]any{"spec": map[string]any{"traffic": traffic}})
}

// configured is the Configuration's condition Ready.
func (v *serviceView) configured() condition {
	c := condition{kind: "Ready", status: Unknown}
	latest := v.revision(v.LatestCreated)
	switch {
	case v.LatestReady != "" && v.revision(v.LatestReady) == nil:
		c.status, c.reason, c.message = False, "RevisionDeleted", fmt.Sprintf("Revision %q was deleted.", v.LatestReady)
	case latest == nil:
	case latest.Ready == False:
		c.status, c.reason = False, "RevisionFailed"
		c.message = fmt.Sprintf("Revision %q failed with message: %s.", latest.Name, latest.Message)
	case latest.Ready == True && v.LatestReady == latest.Name:
		c.status = True
	}
	return c
}

// assigned is the Route's condition AllTrafficAssigned. A failure comes before what may still become ready.
func (v *serviceView) assigned() condition {
	var all []condition
	for _, t := range v.Traffic {
		all = append(all, v.target(t))
	}
	c := ready(all...)
	c.kind = "AllTrafficAssigned"
	return c
}

// target returns whether traffic to t can be assigned.
func (v *serviceView) target(t Traffic) condition {
	c := condition{status: True, reason: "RevisionMissing"}
	r, latest := v.revision(t.Revision), v.revision(v.LatestCreated)
	switch {
	case t.Latest && v.LatestReady == "" && latest != nil && latest.Ready == False:
		c.status, c.message = False, fmt.Sprintf("Configuration %q does not have any ready Revision.", v.name())
	case t.Latest && v.LatestReady == "":
		c.status, c.message = Unknown, fmt.Sprintf("Configuration %q is waiting for a Revision to become ready.", v.name())
	case t.Latest:
	case r == nil:
		c.status, c.message = False, fmt.Sprintf("Revision %q referenced in traffic not found.", t.Revision)
	case r.Ready == False:
		c.status, c.message = False, fmt.Sprintf("Revision %q failed to become ready.", r.Name)
	case r.Ready == Unknown:
		c.status, c.message = Unknown, fmt.Sprintf("Revision %q is not yet ready.", r.Name)
	}
	return c
}

// setStatuses sets those of Configuration, Route and Service.
func (v *serviceView) setStatuses(configured, assigned condition) {
	names := map[string]any{}
	setNonzero(names, "latestCreatedRevisionName", v.LatestCreated)
	setNonzero(names, "latestReadyRevisionName", v.LatestReady)
	configuration := v.status(v.configuration, configured)
	maps.Copy(configuration, names)
	v.configuration.Object.Object["status"] = configuration

	// The quickstart's ingress has a route as soon as there is one, and no TLS.
	routeReady := ready(assigned)
	where := v.where(assigned)
	route := v.status(v.route, assigned, routeReady, condition{kind: "IngressReady", status: True}, condition{
		kind: "CertificateProvisioned", status: True, reason: "TLSNotEnabled", message: "external-domain-tls is not enabled",
	})
	maps.Copy(route, where)
	v.route.Object.Object["status"] = route

	configured.kind, routeReady.kind = "ConfigurationsReady", "RoutesReady"
	service := v.status(v.service, configured, routeReady, ready(routeReady, configured))
	maps.Copy(service, names)
	maps.Copy(service, v.where(assigned))
	v.service.Object.Object["status"] = service
}

// where returns the URLs and the traffic of a Route's status. There is no traffic before all of it is assigned.
func (v *serviceView) where(assigned condition) map[string]any {
	status := map[string]any{}
	setNonzero(status, "url", v.URL)
	if v.Address != "" {
		status["address"] = map[string]any{"url": v.Address}
	}
	if assigned.status != True || len(v.Traffic) == 0 {
		return status
	}
	var traffic []any
	for _, t := range v.Traffic {
		target := map[string]any{"latestRevision": t.Latest, "percent": t.Percent, "revisionName": t.Revision}
		setNonzero(target, "tag", t.Tag)
		setNonzero(target, "url", t.URL)
		traffic = append(traffic, target)
	}
	status["traffic"] = traffic
	return status
}

// tags returns the tags, sorted, after "": the Route's own host.
func (v *serviceView) tags() []string {
	tags := []string{""}
	for _, t := range v.Traffic {
		tags = append(tags, t.Tag)
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// host returns the public host of a tag.
func (v *serviceView) host(tag string) string {
	at := v.URL
	for _, t := range v.Traffic {
		if tag != "" && t.Tag == tag {
			at = t.URL
		}
	}
	u, err := url.Parse(at)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// tagged returns the name of a tag's Service, which is its host within the namespace.
func (v *serviceView) tagged(tag string) string {
	if tag == "" {
		return v.name()
	}
	return tag + "-" + v.name()
}

func (v *serviceView) makeIngress() {
	var rules []any
	for _, tag := range v.tags() {
		local := v.tagged(tag) + "." + v.namespace
		rules = append(rules, v.rule(tag, "ClusterLocal", local, local+".svc", local+".svc.cluster.local"))
		if host := v.host(tag); host != "" && !strings.HasSuffix(host, ".svc.cluster.local") {
			rules = append(rules, v.rule(tag, "ExternalIP", host))
		}
	}
	o := v.add(ingresses, metadata{
		name:        v.name(),
		labels:      merged(v.route.GetLabels(), map[string]string{labelRoute: v.name(), labelRouteNamespace: v.namespace}),
		annotations: merged(without(v.route.GetAnnotations(), annotationRollout, annotationOldRollout), map[string]string{annotationIngressClass: ingressClass}),
		owner:       v.route.Object,
	}, map[string]any{"spec": map[string]any{"httpOption": "Enabled", "rules": rules}})
	balancer, network := condition{kind: "LoadBalancerReady", status: True}, condition{kind: "NetworkConfigured", status: True}
	status := v.status(o, balancer, network, ready(balancer, network))
	for _, name := range []string{"publicLoadBalancer", "privateLoadBalancer"} {
		status[name] = map[string]any{"ingress": []any{map[string]any{"ip": address}}}
	}
	o.Object.Object["status"] = status
}

// rule returns the rule for hosts: a tag's traffic goes to its revision, all other traffic by percent.
func (v *serviceView) rule(tag, visibility string, hosts ...string) map[string]any {
	splits := []any{}
	at := map[string]map[string]any{} // by revision, which may be the target of several
	for _, t := range v.Traffic {
		percent := t.Percent
		if tag != "" {
			percent = 0
			if t.Tag == tag {
				percent = 100
			}
		}
		if percent == 0 || t.Revision == "" {
			continue // none of it, or no revision yet
		}
		if split := at[t.Revision]; split != nil {
			split["percent"] = split["percent"].(int64) + percent
			continue
		}
		port, _ := v.protocol(t.Revision).servicePort()
		split := map[string]any{
			"serviceName": t.Revision, "serviceNamespace": v.namespace, "servicePort": port, "percent": percent,
			"appendHeaders": map[string]any{knative.HeaderNamespace: v.namespace, knative.HeaderRevision: t.Revision},
		}
		at[t.Revision] = split
		splits = append(splits, split)
	}
	all := make([]any, len(hosts))
	for i, host := range hosts {
		all[i] = host
	}
	return map[string]any{
		"hosts": all, "visibility": visibility, "http": map[string]any{"paths": []any{map[string]any{"splits": splits}}},
	}
}

// protocol returns that of a revision.
func (v *serviceView) protocol(name string) protocol {
	if r := v.revision(name); r != nil {
		return protocolOf(r.Template)
	}
	return http1
}

// makeServices makes the Services of the Route and its tags: names for its host.
func (v *serviceView) makeServices() {
	for _, tag := range v.tags() {
		v.add(services, metadata{
			name:        v.tagged(tag),
			labels:      merged(without(v.route.GetLabels(), labelVisibility), map[string]string{labelRoute: v.name()}),
			annotations: v.route.GetAnnotations(),
			owner:       v.route.Object,
		}, map[string]any{
			"spec": map[string]any{
				"type": "ExternalName", "externalName": v.host(tag), "sessionAffinity": "None",
				"ports": []any{map[string]any{
					"name": "http2", "appProtocol": "kubernetes.io/h2c", "port": int64(80), "targetPort": int64(80), "protocol": "TCP",
				}},
			},
			"status": map[string]any{"loadBalancer": map[string]any{}},
		})
	}
}
