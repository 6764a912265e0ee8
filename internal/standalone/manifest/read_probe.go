package manifest

import (
	"math"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// asked is a Probe while its fields are read.
type asked struct {
	Probe
	kinds     int
	hasPeriod bool
}

func probeSeconds(low int, to func(*Probe) *time.Duration) func(*reader, node, *asked) {
	return func(r *reader, n node, p *asked) { *to(&p.Probe) = r.seconds(n, low, maxSeconds) }
}

// Defaults and limits are those of Kubernetes' "Configure Liveness, Readiness and Startup Probes".
var probeTable = newTable("Probe",
	[]field[asked]{
		{name: "httpGet", note: "see HTTPGetAction", read: func(r *reader, n node, p *asked) {
			p.kinds++
			h := httpGet{p: &p.Probe, HTTPProbe: HTTPProbe{Path: "/", Scheme: "HTTP"}}
			readObject(r, n, httpGetTable, &h)
			if !strings.HasPrefix(h.Path, "/") {
				h.Path = "/" + h.Path
			}
			p.HTTP = &h.HTTPProbe
		}},
		{name: "tcpSocket", note: "a connection", read: func(r *reader, n node, p *asked) {
			p.kinds++
			p.TCP = true
			readObject(r, n, tcpTable, &p.Probe)
		}},
		{name: "grpc", note: "gRPC's health check", read: func(r *reader, n node, p *asked) {
			p.kinds++
			p.GRPC = &GRPCProbe{}
			readObject(r, n, grpcTable, &p.Probe)
		}},
		{name: "exec", note: "a program of this machine, with the container's environment", read: func(r *reader, n node, p *asked) {
			p.kinds++
			readObject(r, n, execTable, &p.Probe)
			if n.Kind == yaml.MappingNode && len(p.Exec) == 0 {
				r.errorf(n, "should have command")
			}
		}},
		{name: "initialDelaySeconds", note: "0", read: probeSeconds(0, func(p *Probe) *time.Duration { return &p.Delay })},
		{name: "periodSeconds", note: "10; for readiness 0, which is as often as needed, as in Knative", read: func(r *reader, n node, p *asked) {
			p.hasPeriod = true
			p.Period = r.seconds(n, 0, maxSeconds)
		}},
		{name: "timeoutSeconds", note: "1", read: probeSeconds(0, func(p *Probe) *time.Duration { return &p.Timeout })},
		{name: "successThreshold", note: "1", read: func(r *reader, n node, p *asked) { p.SuccessThreshold = r.number(n, 0, math.MaxInt32) }},
		{name: "failureThreshold", note: "3; a startup probe may fail for all periods together", read: func(r *reader, n node, p *asked) { p.Failure = r.number(n, 0, math.MaxInt32) }},
		{name: "terminationGracePeriodSeconds", note: "for a restart by this probe", read: func(r *reader, n node, p *asked) {
			d := r.seconds(n, 0, maxSeconds)
			p.Grace = &d
		}},
	},
)

// defaultPeriod is Kubernetes'.
const defaultPeriod = 10 * time.Second

// probe reads a Probe. As in Kubernetes 0 means not set, except for the period of a readiness probe.
func (r *reader) probe(n node) *Probe {
	var p asked
	readObject(r, n, probeTable, &p)
	if p.kinds == 0 {
		p.TCP = true
	}
	if p.kinds > 1 {
		r.errorf(n, "should have one of httpGet, tcpSocket, grpc and exec, has %d", p.kinds)
	}
	if p.Timeout == 0 {
		p.Timeout = time.Second
	}
	if p.SuccessThreshold == 0 {
		p.SuccessThreshold = 1
	}
	if p.Failure == 0 {
		p.Failure = 3
	}
	if p.Period == 0 && !strings.HasSuffix(n.path, "readinessProbe") {
		p.Period = defaultPeriod
	}
	return &p.Probe
}

type httpGet struct {
	HTTPProbe
	p *Probe
}

var httpGetTable = newTable("HTTPGetAction",
	[]field[httpGet]{
		{name: "path", note: "", read: func(r *reader, n node, h *httpGet) { h.Path = r.text(n) }},
		{name: "port", note: "the container's, by number or name, is `$PORT`; so is 0", read: func(r *reader, n node, h *httpGet) { h.p.Port = r.probePort(n) }},
		{name: "host", note: "", read: func(r *reader, n node, h *httpGet) { h.p.Host = r.text(n) }},
		{name: "scheme", note: "", read: func(r *reader, n node, h *httpGet) { h.Scheme = r.oneOf(n, "HTTP", "HTTPS") }},
		{name: "httpHeaders", note: "", read: func(r *reader, n node, h *httpGet) { h.Headers = readList(r, n, headerTable) }},
	},
)

var headerTable = newTable("HTTPHeader",
	[]field[Header]{
		{name: "name", note: "", read: func(r *reader, n node, h *Header) { h.Name = r.text(n) }},
		{name: "value", note: "", read: func(r *reader, n node, h *Header) { h.Value = r.text(n) }},
	},
)

var tcpTable = newTable("TCPSocketAction",
	[]field[Probe]{
		{name: "port", note: "as in HTTPGetAction", read: func(r *reader, n node, p *Probe) { p.Port = r.probePort(n) }},
		{name: "host", note: "", read: func(r *reader, n node, p *Probe) { p.Host = r.text(n) }},
	},
)

var grpcTable = newTable("GRPCAction",
	[]field[Probe]{
		{name: "port", note: "as in HTTPGetAction", read: func(r *reader, n node, p *Probe) { p.Port = r.probePort(n) }},
		{name: "service", note: "", read: func(r *reader, n node, p *Probe) { p.GRPC.Service = r.text(n) }},
	},
)

var execTable = newTable("ExecAction",
	[]field[Probe]{
		{name: "command", note: "", read: func(r *reader, n node, p *Probe) { p.Exec = r.texts(n) }},
	},
)

// probePort reads a number, or one of the names of ports in Knative, which is 0 here: the container's own port.
func (r *reader) probePort(n node) int {
	switch {
	case r.intOrString(n):
		return 0
	case n.Kind == yaml.ScalarNode && n.Tag == "!!int":
		return r.number(n, 0, 65535)
	case n.Kind == yaml.ScalarNode && (n.Value == "http1" || n.Value == "h2c" || n.Value == "user-port"):
		return 0
	}
	r.errorf(n, "should be a number, or the name of the container's port (http1 or h2c), is %s", describe(n))
	return 0
}
