package manifest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	defaultPort = 8080
	maxSeconds  = 3600
)

var variable = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)

// reserved variables are set by the platform, as in Knative.
var reserved = []string{"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"}

func (r *reader) container(n node, c *Container) {
	c.Port, c.Pos = defaultPort, r.pos(n)
	var name, portName string
	var probe node
	r.fields(n, map[string]func(node){
		"name":           r.readText(&name),
		"image":          func(n node) { c.Image, c.Pos = r.text(n), r.pos(n) },
		"command":        r.readTexts(&c.Command),
		"args":           r.readTexts(&c.Args),
		"workingDir":     r.readText(&c.WorkingDir),
		"env":            func(n node) { r.env(n, c) },
		"ports":          func(n node) { portName = r.ports(n, c) },
		"readinessProbe": func(n node) { probe = n },
	})
	if probe.Node == nil {
		// Knative's default, and its aggressive period.
		c.Probe = Probe{TCP: true, SuccessThreshold: 1, Failure: 3}
		return
	}
	r.probe(probe, c, portName)
}

func (r *reader) env(n node, c *Container) {
	r.list(n, func(n node) {
		var v EnvVar
		r.fields(n, map[string]func(node){
			"name":  r.readText(&v.Name),
			"value": r.readText(&v.Value),
		})
		if n.Kind != yaml.MappingNode {
			return
		}
		switch {
		case slices.Contains(reserved, v.Name):
			r.errorf(n, "%s is set by the platform and can't be set here", v.Name)
		case !variable.MatchString(v.Name):
			r.errorf(n, "name should be that of a variable, is %q", v.Name)
		}
		c.Env = append(c.Env, v)
	})
}

// ports reads the one port that a container may have, and returns its name.
func (r *reader) ports(n node, c *Container) (name string) {
	count := 0
	r.list(n, func(n node) {
		if count++; count > 1 {
			r.errorf(n, "not supported: one port only")
			return
		}
		protocol := "TCP"
		r.fields(n, map[string]func(node){
			"name":          r.readText(&name),
			"containerPort": r.readNumber(&c.Port, 1, 65535),
			"protocol":      r.readText(&protocol),
		})
		if protocol != "TCP" {
			r.errorf(n, "protocol should be TCP, is %q", protocol)
		}
		if name != "" && name != "http1" && name != "h2c" {
			r.errorf(n, "name should be http1 or h2c, is %q", name)
		}
	})
	c.H2C = name == "h2c"
	return name
}

func (r *reader) probe(n node, c *Container, portName string) {
	p := Probe{SuccessThreshold: 1, Failure: 3, Timeout: time.Second}
	kinds := 0
	port := func(n node) { r.probePort(n, c.Port, portName) }
	seconds := func(to *time.Duration, low int) func(node) {
		return func(n node) { *to = time.Duration(r.number(n, low, maxSeconds)) * time.Second }
	}
	r.fields(n, map[string]func(node){
		"httpGet":          func(n node) { kinds++; p.HTTP = r.httpGet(n, port) },
		"tcpSocket":        func(n node) { kinds++; p.TCP = true; r.fields(n, map[string]func(node){"port": port}) },
		"grpc":             func(n node) { kinds++; p.GRPC = r.grpc(n, port) },
		"periodSeconds":    seconds(&p.Period, 0),
		"timeoutSeconds":   seconds(&p.Timeout, 1),
		"successThreshold": r.readNumber(&p.SuccessThreshold, 1, 1000),
		"failureThreshold": r.readNumber(&p.Failure, 1, 1000),
	})
	if kinds == 0 {
		p.TCP = true
	}
	if kinds > 1 {
		r.errorf(n, "should have one of httpGet, tcpSocket and grpc, has %d", kinds)
	}
	c.Probe = p
}

func (r *reader) httpGet(n node, port func(node)) *HTTPProbe {
	h := HTTPProbe{Path: "/", Scheme: "HTTP"}
	r.fields(n, map[string]func(node){
		"path": r.readText(&h.Path),
		"port": port,
		"scheme": func(n node) {
			if h.Scheme = r.text(n); h.Scheme != "HTTP" && h.Scheme != "HTTPS" {
				r.errorf(n, "should be HTTP or HTTPS, is %q", h.Scheme)
			}
		},
		"httpHeaders": func(n node) {
			r.list(n, func(n node) {
				var v EnvVar
				r.fields(n, map[string]func(node){"name": r.readText(&v.Name), "value": r.readText(&v.Value)})
				h.Headers = append(h.Headers, v)
			})
		},
	})
	if !strings.HasPrefix(h.Path, "/") {
		h.Path = "/" + h.Path
	}
	return &h
}

func (r *reader) grpc(n node, port func(node)) *GRPCProbe {
	var g GRPCProbe
	r.fields(n, map[string]func(node){"port": port, "service": r.readText(&g.Service)})
	return &g
}

// probePort takes whatever means the container's port: all replicas share one address, and the app has no port but the
// one that it gets in $PORT.
func (r *reader) probePort(n node, containerPort int, portName string) {
	if n.Kind == yaml.ScalarNode && (n.Value == "0" || n.Value == strconv.Itoa(containerPort) || n.Value == portName) {
		return
	}
	r.errorf(n, "should be the container's port (%d), or left out: the app listens on $PORT only", containerPort)
}
