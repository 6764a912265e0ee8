package manifest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// pod is a RevisionSpec while it is read.
type pod struct {
	t    *Template
	all  []Container // of spec.containers
	init []Container
	at   []node // of all
	list node   // spec.containers

	hasResponseStart bool
}

// podTable is Knative's RevisionSpec, which includes Kubernetes' PodSpec.
var podTable = newTable("RevisionSpec (with PodSpec)",
	[]field[pod]{
		{name: "containerConcurrency", note: "requests at a time in one replica; 0: any number", read: func(r *reader, n node, p *pod) { p.t.ContainerConcurrency = r.number(n, 0, maxConcurrency) }},
		{name: "timeoutSeconds", note: "of a whole request; 300 without it", read: func(r *reader, n node, p *pod) {
			p.t.Timeout = r.seconds(n, 0, maxTimeoutSeconds)
			if p.t.Timeout == 0 { // as in Knative: the default
				p.t.Timeout = defaultTimeout
			}
		}},
		{name: "responseStartTimeoutSeconds", note: "until the first byte; without it 300, if timeoutSeconds is more", read: func(r *reader, n node, p *pod) {
			p.t.ResponseStart, p.hasResponseStart = r.seconds(n, 0, maxTimeoutSeconds), true
		}},
		{name: "idleTimeoutSeconds", note: "without a byte", read: func(r *reader, n node, p *pod) { p.t.Idle = r.seconds(n, 0, maxTimeoutSeconds) }},
	},
	podFields,
)

// podFields are those of a PodSpec.
var podFields = slices.Concat(
	[]field[pod]{
		{name: "containers", note: "processes; the one with `ports` gets the requests, the others run beside it", read: func(r *reader, n node, p *pod) {
			p.list = n
			r.list(n, func(n node) {
				p.all, p.at = append(p.all, r.container(n)), append(p.at, n)
			})
		}},
		{name: "initContainers", note: "run before the others, one after the other, until they succeed", read: func(r *reader, n node, p *pod) {
			r.list(n, func(n node) {
				c := r.container(n)
				if !c.Stays && (c.Liveness != nil || c.Startup != nil || !c.Probe.Default()) {
					r.errorf(n, "an init container has no probes")
				}
				p.init = append(p.init, c)
			})
		}},
		{name: "volumes", note: "directories of each replica: see Volume", read: func(r *reader, n node, p *pod) {
			r.list(n, func(n node) { p.t.Volumes = append(p.t.Volumes, r.volume(n)) })
		}},
		{name: "terminationGracePeriodSeconds", note: "from SIGTERM to SIGKILL, once requests are done; 10 without it", read: func(r *reader, n node, p *pod) {
			d := r.seconds(n, 0, maxSeconds)
			p.t.Grace = &d
		}},
		{name: "serviceAccountName", note: "for the downward API only; there is no token", read: func(r *reader, n node, p *pod) {
			p.t.ServiceAccount = r.text(n)
			r.ignore(n, "there is no service account here")
		}},
		{name: "restartPolicy", note: "`Always`", read: func(r *reader, n node, _ *pod) { r.oneOf(n, "Always") }},
		{name: "securityContext", note: "see PodSecurityContext", read: func(r *reader, n node, p *pod) { readObject(r, n, podSecurityTable, &p.t.Security) }},
	},
	ignored[pod]("there is no API server here", "serviceAccount", "automountServiceAccountToken"),
	ignored[pod]("images are pulled as podman or docker is logged in", "imagePullSecrets"),
	ignored[pod]("there is one machine", "nodeSelector", "nodeName", "affinity", "tolerations", "topologySpreadConstraints", "schedulerName",
		"priorityClassName", "priority", "preemptionPolicy", "schedulingGates", "schedulingGroup", "overhead", "resourceClaims", "readinessGates", "runtimeClassName", "os"),
	ignored[pod]("there are no pods' namespaces here", "hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace"),
	ignored[pod]("names are resolved as this machine does", "dnsPolicy", "dnsConfig", "hostAliases", "hostname", "subdomain", "setHostnameAsFQDN", "hostnameOverride"),
	ignored[pod]("there are no other Services' variables", "enableServiceLinks"),
	ignored[pod]("processes are not limited here", "resources"),
	ignored[pod]("not for services", "activeDeadlineSeconds", "ephemeralContainers"),
)

// finish checks the containers together.
func (p *pod) finish(r *reader, n node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	if len(p.all) == 0 {
		if len(r.errs) == 0 {
			r.errorf(node{n.Node, n.path + ".containers"}, "should hold a container")
		}
		return
	}
	if !p.hasResponseStart && p.t.Timeout > defaultTimeout {
		p.t.ResponseStart = defaultTimeout
	}
	nameContainers(namesOf(p.all), namesOf(p.init))
	app, ports := 0, 0
	for i := range p.all {
		if p.all[i].HasPort {
			app = i
			if ports++; ports > 1 {
				r.errorf(p.at[i], "more than one container has ports: only the one that gets the requests may have them")
			}
		}
	}
	if ports == 0 && len(p.all) > 1 && len(r.errs) == 0 {
		r.errorf(p.list, "none has ports: the one that gets the requests should")
	}
	for i := range p.all {
		p.protect(&p.all[i])
		r.checkContainer(p.at[i], &p.all[i], i == app)
		if i == app {
			p.t.Container = p.all[i]
		} else {
			p.t.Sidecars = append(p.t.Sidecars, p.all[i])
		}
	}
	p.t.Init = p.init
	p.checkNames(r)
}

// protect makes mounts read-only as Default does.
func (p *pod) protect(c *Container) {
	for i := range c.Mounts {
		for _, v := range p.t.Volumes {
			c.Mounts[i].ReadOnly = c.Mounts[i].ReadOnly || v.readOnly && v.Name == c.Mounts[i].Volume
		}
	}
}

func namesOf(list []Container) (names []*string) {
	for i := range list {
		names = append(names, &list[i].Name)
	}
	return names
}

// checkNames checks that each mount has a volume, and that names are unique.
func (p *pod) checkNames(r *reader) {
	at := func(p Place) node { return node{&yaml.Node{Line: p.Line}, p.Field} }
	volumes := map[string]bool{}
	for _, v := range p.t.Volumes {
		if volumes[v.Name] {
			r.errorf(at(v.Place), "volume %q is defined twice", v.Name)
		}
		volumes[v.Name] = true
	}
	names := map[string]bool{}
	for _, c := range p.t.All() {
		if c.Name != "" && names[c.Name] {
			r.errorf(at(c.ImagePlace), "another container is called %q, too", c.Name)
		}
		names[c.Name] = true
		for _, m := range c.Mounts {
			if !volumes[m.Volume] {
				var known []string
				for _, v := range p.t.Volumes {
					known = append(known, v.Name)
				}
				hint := ""
				if name := nearest(m.Volume, known); name != "" {
					hint = "; the nearest is " + name
				}
				r.errorf(at(m.Place), "there is no volume %q%s", m.Volume, hint)
			}
		}
	}
}
