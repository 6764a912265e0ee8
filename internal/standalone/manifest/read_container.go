package manifest

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	defaultPort = 8080
	maxSeconds  = math.MaxInt32 // of Kubernetes' int32
)

// A variable may have any name that is printable ASCII without "=": Kubernetes since 1.34 ("Environment variables").
var variable = regexp.MustCompile(`^[ -<>-~]+$`)

// reserved variables are set by the platform, as in Knative; PORT only for the app.
var reserved = []string{"K_SERVICE", "K_CONFIGURATION", "K_REVISION"}

var containerTable = newTable("Container",
	[]field[Container]{
		{name: "name", note: "names its lines of output", read: func(r *reader, n node, c *Container) { c.Name = r.label(n, label1123) }},
		{name: "image", note: "run as a command or in a container: see [Images](#images)", read: func(r *reader, n node, c *Container) { c.Image, c.ImagePlace = r.text(n), r.place(n) }},
		{name: "command", note: "a program of this machine, or else of the image", read: func(r *reader, n node, c *Container) { c.Command, c.CommandPlace = r.texts(n), r.place(n) }},
		{name: "args", note: "with `$(NAME)` as in Kubernetes", read: func(r *reader, n node, c *Container) { c.Args = r.texts(n) }},
		{name: "workingDir", note: "a directory of this machine, relative to that in which the quickstart was started, or of the image", read: func(r *reader, n node, c *Container) { c.WorkingDir = r.text(n) }},
		{name: "env", note: "see EnvVar", read: func(r *reader, n node, c *Container) { c.Env = r.env(n, c) }},
		{name: "envFrom", note: "see EnvFromSource", read: func(r *reader, n node, c *Container) { c.EnvFrom = r.envFrom(n) }},
		{name: "ports", note: "one; a process has to listen on `$PORT`", read: func(r *reader, n node, c *Container) { r.ports(n, c) }},
		{name: "readinessProbe", note: "a replica that isn't ready gets no requests", read: func(r *reader, n node, c *Container) { c.Probe = *r.probe(n) }},
		{name: "livenessProbe", note: "a container that fails it is restarted", read: func(r *reader, n node, c *Container) { c.Liveness = r.probe(n) }},
		{name: "startupProbe", note: "until it succeeds there are no requests and no other probes; a container that fails it is restarted", read: func(r *reader, n node, c *Container) { c.Startup = r.probe(n) }},
		{name: "volumeMounts", note: "see VolumeMount", read: func(r *reader, n node, c *Container) {
			r.list(n, func(n node) {
				m := Mount{Place: r.place(n)}
				readObject(r, n, mountTable, &m)
				if n.Kind == yaml.MappingNode && (m.Volume == "" || m.Path == "") {
					r.errorf(n, "should have name and mountPath")
				}
				c.Mounts = append(c.Mounts, m)
			})
		}},
		{name: "resources", note: "see ResourceRequirements", read: func(r *reader, n node, c *Container) { c.Resources = r.resources(n) }},
		{name: "restartPolicy", note: "`Always` makes an init container a sidecar", read: func(r *reader, n node, c *Container) { c.Stays = r.oneOf(n, "Always") == "Always" }},
		{name: "imagePullPolicy", note: "in a container: `Always`, `Never`, or `IfNotPresent`, which is the default for every tag", read: func(r *reader, n node, c *Container) {
			if c.PullPolicy = r.oneOf(n, "Always", "IfNotPresent", "Never"); c.PullPolicy == "IfNotPresent" {
				c.PullPolicy = ""
			}
			r.forProcesses(n, "there is no image to pull for a process")
		}},
		{name: "securityContext", note: "see SecurityContext", read: func(r *reader, n node, c *Container) { readObject(r, n, securityTable, &c.Security) }},
	},
	ignored[Container]("a container that ends is started again", "restartPolicyRules", "resizePolicy"),
	ignored[Container]("there are no hooks here: SIGTERM ends a container", "lifecycle"),
	ignored[Container]("the last line of standard error is shown", "terminationMessagePath", "terminationMessagePolicy"),
	ignored[Container]("there is no terminal, and no input", "stdin", "stdinOnce", "tty"),
	ignored[Container]("there are no block devices here", "volumeDevices"),
)

func (r *reader) container(n node) Container {
	c := Container{Port: defaultPort, ImagePlace: Place{r.pos(n), join(n.path, "image")}, Probe: defaultProbe()}
	readObject(r, n, containerTable, &c)
	return c
}

// defaultProbe is Knative's readiness probe with its aggressive period.
func defaultProbe() Probe {
	return Probe{TCP: true, Timeout: time.Second, SuccessThreshold: 1, Failure: 3}
}

// checkContainer checks what depends on whether c is the app.
func (r *reader) checkContainer(n node, c *Container, app bool) {
	if app && c.portVar != (Place{}) {
		r.errorf(node{&yaml.Node{Line: c.portVar.Line}, c.portVar.Field}, "PORT is set by the platform and can't be set here")
	}
	c.portVar = Place{}
	for _, p := range []*Probe{&c.Probe, c.Liveness, c.Startup} {
		switch {
		case p == nil:
		case app && p.Port == c.Port:
			p.Port = 0
		case !app && p.Port == 0 && p.Exec == nil && (p != &c.Probe || !c.Probe.Default()):
			r.errorf(n, "a probe of a container without ports should have a port")
		}
	}
}

type port struct {
	name string
	port int
}

var portTable = newTable("ContainerPort",
	[]field[port]{
		{name: "name", note: "`http1` or `h2c`", read: func(r *reader, n node, p *port) {
			if p.name = r.text(n); p.name != "" && p.name != "http1" && p.name != "h2c" {
				r.errorf(n, "name should be http1 or h2c, is %q", p.name)
			}
		}},
		{name: "containerPort", note: "another name for `$PORT`, in probes", read: func(r *reader, n node, p *port) { p.port = r.number(n, 1, 65535) }},
		{name: "protocol", note: "`TCP`", read: func(r *reader, n node, _ *port) {
			if s := r.text(n); s != "TCP" {
				r.errorf(n, "protocol should be TCP, is %q", s)
			}
		}},
	},
	ignored[port]("requests come through the ingress alone", "hostPort", "hostIP"),
)

// ports reads the one port that a container may have.
func (r *reader) ports(n node, c *Container) {
	count := 0
	r.list(n, func(n node) {
		if count++; count > 1 {
			r.errorf(n, "not supported: one port only, as in Knative")
			return
		}
		p := port{port: defaultPort}
		readObject(r, n, portTable, &p)
		c.HasPort, c.Port, c.H2C = true, p.port, p.name == "h2c"
	})
}

var resourcesTable = newTable("ResourceRequirements",
	[]field[Resources]{
		{name: "limits", note: "of `memory` and `cpu`, in a container or if the quickstart may create cgroups; for the downward API in any case", read: func(r *reader, n node, q *Resources) { q.Limits = r.limits(n) }},
		{name: "requests", note: "for the downward API; nothing is reserved, with a note", read: func(r *reader, n node, q *Resources) {
			if q.Requests = r.quantities(n); len(q.Requests) > 0 {
				r.ignore(n, "nothing is set apart for processes here")
			}
		}},
	},
	ignored[Resources]("there are no devices here", "claims"),
)

// resources reads limits and requests. As in Kubernetes a request must not exceed its limit.
func (r *reader) resources(n node) (q Resources) {
	readObject(r, n, resourcesTable, &q)
	for field, requests := range r.entries(n) {
		if field != "requests" {
			continue
		}
		for key, value := range r.entries(requests) {
			limit, err1 := resource.ParseQuantity(q.Limits[key])
			request, err2 := resource.ParseQuantity(q.Requests[key])
			if err1 == nil && err2 == nil && request.Cmp(limit) > 0 {
				r.errorf(value, "should be at most the limit, %s, is %s", q.Limits[key], describe(value))
			}
		}
	}
	return q
}

// limits reads quantities, with a Note for each, since the machine decides which are enforced.
func (r *reader) limits(n node) map[string]string {
	all := r.quantities(n)
	if n.Kind != yaml.MappingNode {
		return all
	}
	for key, value := range r.entries(n) {
		note := Note{Place: r.place(value), Why: "processes are not limited here"}
		if key == "cpu" || key == "memory" {
			note.Limit, note.Contained = key, true
		}
		r.ignored = append(r.ignored, note)
	}
	return all
}

func (r *reader) quantities(n node) map[string]string {
	var all map[string]string // nil if it is empty: that makes no other revision
	for key, value := range r.mapping(n) {
		if all == nil {
			all = map[string]string{}
		}
		all[key] = r.quantity(value)
	}
	return all
}

// quantity reads a quantity and returns it in Kubernetes' form, as clients with typed objects write it: 1000m is 1.
func (r *reader) quantity(n node) string {
	if r.intOrString(n) {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		r.errorf(n, "should be a quantity, is %s", describe(n))
		return ""
	}
	q, err := resource.ParseQuantity(fmt.Sprint(jsonScalar(n.Node)))
	switch {
	case err != nil:
		r.errorf(n, "should be a quantity such as 100m or 256Mi, is %s", describe(n))
	case q.Sign() < 0:
		r.errorf(n, "should not be negative, is %s", describe(n))
	}
	return q.String()
}

var mountTable = newTable("VolumeMount",
	[]field[Mount]{
		{name: "name", note: "of the volume", read: func(r *reader, n node, m *Mount) { m.Volume = r.text(n) }},
		{name: "mountPath", note: "in a container; for a process a variable, SLUICE_MOUNT_ and this path in capitals, has the volume's directory", read: func(r *reader, n node, m *Mount) {
			if m.Path = r.text(n); !strings.HasPrefix(m.Path, "/") {
				r.errorf(n, "should be an absolute path, is %q", m.Path)
			}
		}},
		{name: "subPath", note: "below the volume", read: func(r *reader, n node, m *Mount) { m.SubPath = r.below(n) }},
		{name: "subPathExpr", note: "the same with `$(NAME)`", read: func(r *reader, n node, m *Mount) { m.SubPath, m.SubPathExpr = r.below(n), true }},
		{name: "readOnly", note: "in a container, where only an emptyDir can be written, as in Knative; a process can write", read: func(r *reader, n node, m *Mount) { m.ReadOnly = r.boolean(n) }},
	},
	ignored[Mount]("mounts are the machine's own directories", "mountPropagation", "recursiveReadOnly"),
)

const asYou = "processes run as you"

// securityTable is a container's; podSecurityTable is a pod's, which containers inherit.
var (
	securityTable = newTable("SecurityContext", identities,
		[]field[Security]{
			{name: "readOnlyRootFilesystem", note: "in a container", read: func(r *reader, n node, s *Security) {
				if s.ReadOnly = r.boolean(n); s.ReadOnly {
					r.forProcesses(n, asYou)
				}
			}},
		},
		ignored[Security]("processes run as you, containers as the runtime's default is", "capabilities", "privileged", "seLinuxOptions", "windowsOptions",
			"runAsNonRoot", "allowPrivilegeEscalation", "procMount", "seccompProfile", "appArmorProfile"),
	)
	podSecurityTable = newTable("PodSecurityContext", identities,
		ignored[Security]("processes run as you, containers as the runtime's default is", "seLinuxOptions", "windowsOptions", "runAsNonRoot", "supplementalGroups",
			"supplementalGroupsPolicy", "fsGroup", "sysctls", "fsGroupChangePolicy", "seccompProfile", "appArmorProfile", "seLinuxChangePolicy"),
	)
	identities = []field[Security]{
		{name: "runAsUser", note: "in a container", read: func(r *reader, n node, s *Security) { s.User = r.identity(n) }},
		{name: "runAsGroup", note: "in a container, with runAsUser", read: func(r *reader, n node, s *Security) { s.Group = r.identity(n) }},
	}
)

// identity reads the number of a user or group.
func (r *reader) identity(n node) *int {
	id := r.number(n, 0, math.MaxInt32) // as Kubernetes allows
	r.forProcesses(n, asYou)
	return &id
}

// below reads a path within a volume.
func (r *reader) below(n node) string {
	s := r.text(n)
	if strings.HasPrefix(s, "/") || slices.Contains(strings.Split(s, "/"), "..") {
		r.errorf(n, "should be a path within the volume, is %q", s)
		return ""
	}
	return s
}
