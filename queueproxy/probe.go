package queueproxy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// ProbeKind is the protocol of a Probe.
type ProbeKind uint8

// The kinds. The zero value, a probe without a handler, never succeeds.
const (
	ProbeNever ProbeKind = iota
	ProbeHTTP            // a GET answered with 200 to 399, redirects not followed
	ProbeTCP             // a connection is accepted
	ProbeGRPC            // grpc.health.v1.Health/Check answers SERVING
)

// Probe is a readiness probe of the app: Kubernetes' corev1.Probe with its defaults filled in.
type Probe struct {
	Kind ProbeKind
	Addr string // host:port
	// TLS makes an HTTP probe use https. Like the kubelet, it doesn't verify the certificate.
	TLS bool
	// Target is the request-target of an HTTP probe. "": "/".
	Target string
	// Header is added to an HTTP probe; a Host in it is the request's Host.
	Header http.Header
	// Service is the service of a gRPC probe. "": the server as a whole.
	Service string
	// Aggressive is periodSeconds 0: one probe request is held while the probe is retried until SuccessThreshold.
	Aggressive bool
	// Timeout of one attempt. 0: 1 s, Kubernetes' default.
	Timeout time.Duration
	// SuccessThreshold is how often an Aggressive probe must succeed in a row. 0: once.
	SuccessThreshold int
	// InitialDelay is how long the kubelet waits before its first probe. It doesn't delay requests, in Knative's
	// queue-proxy neither: other probers may find the app ready before. New logs this, since the name suggests otherwise.
	InitialDelay time.Duration
}

// Validate reports the first field that can't be used.
func (p Probe) Validate() error {
	if p.Kind > ProbeGRPC {
		return fmt.Errorf("kind %d is not one of the constants", p.Kind)
	}
	if p.Timeout < 0 || p.SuccessThreshold < 0 || p.InitialDelay < 0 {
		return errors.New("a timeout, threshold or delay is negative")
	}
	if p.Kind == ProbeNever {
		return nil
	}
	if err := checkAddr(p.Addr, false); err != nil {
		return err
	}
	if p.Kind != ProbeHTTP {
		return nil
	}
	_, err := p.request()
	return err
}

// ParseProbes reads SERVING_READINESS_PROBE: the JSON of a corev1.Probe or, when list is true, of a list of them. An
// empty value, null and null entries are no probe. A probe without a host or port of its own uses host and port. Unknown
// fields are ignored: Kubernetes may add some. Errors don't quote the value: a probe's headers may hold a password.
func ParseProbes(data string, list bool, host string, port int) ([]Probe, error) {
	if strings.TrimSpace(data) == "" {
		return nil, nil
	}
	entries := []*wireProbe{nil}
	var err error
	if list {
		err = json.Unmarshal([]byte(data), &entries)
	} else {
		err = json.Unmarshal([]byte(data), &entries[0])
	}
	if err != nil {
		return nil, describeJSON(err)
	}
	var probes []Probe
	for i, w := range entries {
		if w == nil {
			continue
		}
		p, err := w.resolve(host, port)
		if err == nil {
			err = p.Validate()
		}
		if err != nil && list {
			err = fmt.Errorf("entry %d: %w", i, err)
		}
		if err != nil {
			return nil, err
		}
		probes = append(probes, p)
	}
	return probes, nil
}

// describeJSON describes where the JSON is wrong without quoting any of it.
func describeJSON(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		is, _, _ := strings.Cut(e.Value, " ") // "number 12": leave out the digits
		return fmt.Errorf("%s is a JSON %s, expected %s", cmp.Or(e.Field, "the whole"), is, jsonKind(e.Type))
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("no JSON after byte %d", e.Offset)
	}
	return errors.New("a port is neither a number nor a string")
}

// jsonKind describes in JSON's terms what a field of wireProbe should be.
func jsonKind(t reflect.Type) string {
	if t == reflect.TypeFor[json.Number]() {
		return "a number or a string with one"
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Pointer:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	default:
		return "a whole number of 32 bits"
	}
}

// wireProbe is the part of corev1.Probe that the queue-proxy uses. The kubelet has the same probe with the queue-proxy as
// its handler, and applies the other fields.
// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Probe
type wireProbe struct {
	HTTPGet *struct {
		Path, Host, Scheme string
		Port               wirePort
		HTTPHeaders        []struct{ Name, Value string }
	}
	TCPSocket *struct {
		Host string
		Port wirePort
	}
	GRPC *struct {
		Port    wirePort
		Service *string
	}
	// Nil when absent, which is 0: the aggressive mode.
	PeriodSeconds, TimeoutSeconds, SuccessThreshold, InitialDelaySeconds int32
}

// wirePort is an IntOrString: a number, or a string with a number. The name of a port can't be resolved without the
// pod's spec.
type wirePort string

func (p *wirePort) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		return json.Unmarshal(data, (*string)(p))
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	*p = wirePort(n)
	return nil
}

func (p wirePort) join(host string, defaultHost string, defaultPort int) (string, error) {
	if host == "" {
		host = defaultHost
	}
	if p == "" || p == "0" {
		p = wirePort(strconv.Itoa(defaultPort))
	}
	if n, err := strconv.ParseUint(string(p), 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %.20q is not a number from 1 to 65535", string(p))
	}
	return net.JoinHostPort(host, string(p)), nil
}

func (w *wireProbe) resolve(host string, port int) (Probe, error) {
	p := Probe{
		Aggressive:       w.PeriodSeconds == 0,
		Timeout:          time.Duration(w.TimeoutSeconds) * time.Second,
		SuccessThreshold: int(w.SuccessThreshold),
		InitialDelay:     time.Duration(w.InitialDelaySeconds) * time.Second,
	}
	if w.PeriodSeconds < 0 {
		return p, errors.New("periodSeconds is negative")
	}
	var err error
	switch {
	case w.HTTPGet != nil:
		err = w.resolveHTTP(&p, host, port)
	case w.TCPSocket != nil:
		p.Kind = ProbeTCP
		p.Addr, err = w.TCPSocket.Port.join(w.TCPSocket.Host, host, port)
	case w.GRPC != nil:
		p.Kind = ProbeGRPC
		p.Addr, err = w.GRPC.Port.join("", host, port)
		if w.GRPC.Service != nil {
			p.Service = *w.GRPC.Service
		}
	}
	return p, err
}

func (w *wireProbe) resolveHTTP(p *Probe, host string, port int) (err error) {
	get := w.HTTPGet
	p.Kind, p.Target = ProbeHTTP, "/"+strings.TrimPrefix(get.Path, "/")
	switch get.Scheme {
	case "", "HTTP", "http":
	case "HTTPS", "https":
		p.TLS = true
	default:
		return fmt.Errorf("scheme %.20q is neither HTTP nor HTTPS", get.Scheme)
	}
	if len(get.HTTPHeaders) > 0 {
		p.Header = make(http.Header)
	}
	for _, h := range get.HTTPHeaders {
		p.Header.Add(h.Name, h.Value)
	}
	p.Addr, err = get.Port.join(get.Host, host, port)
	return err
}
