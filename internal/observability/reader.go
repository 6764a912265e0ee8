package observability

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader makes a Config and collects errors and ignored variables.
type reader struct {
	lookup  func(string) (string, bool)
	bad     []error
	ignored []string
}

func newReader(lookup func(string) (string, bool)) *reader {
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	return &reader{lookup: lookup}
}

// fail adds the error that the value of key is not the expected one.
func (r *reader) fail(key, value, want string) {
	r.bad = append(r.bad, fmt.Errorf("%s is %q, expected %s", key, withoutUser(value), want))
}

func (r *reader) result(c Config) (Config, error) {
	c.ServiceName, _ = r.env("OTEL_SERVICE_NAME")
	c.Resource = r.pairs("OTEL_RESOURCE_ATTRIBUTES")
	c.Ignored = r.ignored
	return c, errors.Join(r.bad...)
}

// rawExporter has the configured values of an exporter, and their keys for error messages.
type rawExporter struct {
	protocol, endpoint                             string
	interval                                       time.Duration
	rate                                           float64
	protocolKey, endpointKey, intervalKey, rateKey string
}

// signal describes metrics or traces.
type signal struct {
	env  string // the part of OpenTelemetry's variables that names it
	path string // the path in OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp-request)
	also string // its protocol besides OTLP
}

var (
	metricsSignal = signal{env: "METRICS", path: "/v1/metrics", also: Prometheus}
	tracesSignal  = signal{env: "TRACES", path: "/v1/traces", also: Stdout}
)

// exporter returns the exporter that w configures, or before if a value of w can't be used.
func (r *reader) exporter(s signal, w rawExporter, before Exporter) Exporter {
	bad := len(r.bad)
	if e := r.read(s, w); len(r.bad) == bad {
		return e
	}
	return before
}

func (r *reader) read(s signal, w rawExporter) Exporter {
	e := Exporter{Protocol: w.protocol, Interval: w.interval}
	switch {
	case e.Protocol == None, e.Protocol == "none":
		return Exporter{}
	case e.OTLP():
		r.otlp(s, w, &e)
	case e.Protocol == Prometheus && s.also == Prometheus:
		e.Endpoint = w.endpoint
		if e.Endpoint != "" && !listenable(e.Endpoint) {
			r.fail(w.endpointKey, w.endpoint, "host:port to listen on")
		}
	case e.Protocol == Stdout && s.also == Stdout:
	default:
		r.fail(w.protocolKey, w.protocol, fmt.Sprintf("none, %s, %s or %s", s.also, HTTP, GRPC))
	}
	if w.interval < 0 {
		r.fail(w.intervalKey, w.interval.String(), "a duration that is not negative")
	}
	if s == tracesSignal {
		r.sampling(w, &e)
	}
	return e
}

// listenable reports whether addr can be listened on: host:port, where the host may be empty.
func listenable(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// collectorURL completes the address of a collector. Without a scheme it is https, as in Knative; without a path it gets
// path. gRPC has no path.
func collectorURL(protocol, endpoint, path string) (string, bool) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Hostname() == "" {
		return "", false
	}
	u.Fragment, u.RawFragment = "", ""
	switch {
	case protocol == GRPC:
		u.Path, u.RawPath, u.RawQuery = "", "", ""
	case u.Path == "":
		u.Path = path
	}
	return u.String(), true
}

// withoutUser removes everything before an @, which may be a password.
func withoutUser(value string) string {
	if i := strings.LastIndexByte(value, '@'); i >= 0 {
		return "…" + value[i:]
	}
	return value
}
