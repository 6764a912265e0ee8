package observability

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
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

func (r *reader) profiling(key, value string, before bool) bool {
	switch value {
	case "", "disabled":
		return false
	case "enabled":
		return true
	}
	r.fail(key, value, "enabled or disabled")
	return before
}

// otlp sets the fields of an OTLP exporter. It ignores OTEL_EXPORTER_OTLP_PROTOCOL: Knative configures the protocol.
func (r *reader) otlp(s signal, w rawExporter, e *Exporter) {
	e.Endpoint = r.otlpEndpoint(s, e.Protocol)
	if e.Endpoint == "" {
		var ok bool
		if e.Endpoint, ok = collectorURL(e.Protocol, w.endpoint, s.path); !ok {
			r.fail(w.endpointKey, w.endpoint, "the http:// or https:// URL of a collector")
		}
	}
	if s == metricsSignal {
		if d, ok := r.millis("OTEL_METRIC_EXPORT_INTERVAL"); ok {
			e.Interval = d
		}
	}
	e.Headers = r.pairs("OTEL_EXPORTER_OTLP_HEADERS")
	if own := r.pairs("OTEL_EXPORTER_OTLP_" + s.env + "_HEADERS"); own != nil {
		e.Headers = own
	}
	if key, v, _ := r.ofSignal(s, "COMPRESSION"); v != "" {
		if e.Gzip = v == "gzip"; !e.Gzip && v != "none" {
			r.ignore(key, "gzip or none")
		}
	}
	key, _, _ := r.ofSignal(s, "TIMEOUT")
	e.Timeout, _ = r.millis(key)
	_, e.CAFile, _ = r.ofSignal(s, "CERTIFICATE")
	_, e.CertFile, _ = r.ofSignal(s, "CLIENT_CERTIFICATE")
	_, e.KeyFile, _ = r.ofSignal(s, "CLIENT_KEY")
	if (e.CertFile == "") != (e.KeyFile == "") {
		r.ignore("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE without OTEL_EXPORTER_OTLP_CLIENT_KEY or the reverse", "both")
		e.CertFile, e.KeyFile = "", ""
	}
}

// otlpEndpoint returns the endpoint in the environment, or "". The signal's own endpoint is used unchanged; the signal's path
// is appended to the general one.
func (r *reader) otlpEndpoint(s signal, protocol string) string {
	key, v, own := r.ofSignal(s, "ENDPOINT")
	if v == "" {
		return ""
	}
	if _, insecure, _ := r.ofSignal(s, "INSECURE"); strings.EqualFold(insecure, "true") && !strings.Contains(v, "://") {
		v = "http://" + v
	}
	full, ok := collectorURL(protocol, v, "/")
	if !ok {
		r.ignore(key, "the http:// or https:// URL of a collector")
		return ""
	}
	if own || protocol == GRPC {
		return full
	}
	u, err := url.Parse(full)
	if err != nil {
		return "" // it was parsed before
	}
	u.Path, u.RawPath = path.Join(u.Path, s.path), ""
	return u.String()
}

// sampling sets the sampler as Knative does: a rate of 0 or 1 applies to all requests, one in between to those without a
// trace context, and stdout records all. OTEL_TRACES_SAMPLER replaces this rule, and OTEL_TRACES_SAMPLER_ARG alone the rate.
func (r *reader) sampling(w rawExporter, e *Exporter) {
	rate := w.rate
	if !share(rate) {
		r.fail(w.rateKey, strconv.FormatFloat(rate, 'g', -1, 64), wantShare)
	}
	sampler, replaced := r.env("OTEL_TRACES_SAMPLER")
	if e.Protocol == Stdout {
		rate = 1
	} else if arg, ok := r.share("OTEL_TRACES_SAMPLER_ARG"); ok {
		rate = arg
	}
	e.SamplingRate, e.ParentBased = rate, rate > 0 && rate < 1
	if !replaced {
		return
	}
	arg, ok := r.share("OTEL_TRACES_SAMPLER_ARG")
	if !ok {
		arg = 1
	}
	kind, parent := strings.CutPrefix(strings.ToLower(sampler), "parentbased_")
	switch kind {
	case "always_on":
		e.SamplingRate, e.ParentBased = 1, parent
	case "always_off":
		e.SamplingRate, e.ParentBased = 0, parent
	case "traceidratio":
		e.SamplingRate, e.ParentBased = arg, parent
	default:
		r.ignore("OTEL_TRACES_SAMPLER", "always_on, always_off, traceidratio or one of them after parentbased_")
	}
}

// ofSignal returns OTEL_EXPORTER_OTLP_<signal>_<name>, with own true, or OTEL_EXPORTER_OTLP_<name>
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
func (r *reader) ofSignal(s signal, name string) (key, value string, own bool) {
	key = "OTEL_EXPORTER_OTLP_" + s.env + "_" + name
	if v, ok := r.env(key); ok {
		return key, v, true
	}
	key = "OTEL_EXPORTER_OTLP_" + name
	v, _ := r.env(key)
	return key, v, false
}

// env returns one of OpenTelemetry's variables; an empty one counts as unset (SDK specification).
func (r *reader) env(name string) (string, bool) {
	v, _ := r.lookup(name)
	v = strings.TrimSpace(v)
	return v, v != ""
}

func (r *reader) ignore(name, want string) {
	r.ignored = append(r.ignored, name+" is ignored, expected "+want)
}

func (r *reader) share(name string) (float64, bool) {
	v, ok := r.env(name)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !share(f) {
		r.ignore(name, wantShare)
		return 0, false
	}
	return f, true
}

func (r *reader) millis(name string) (time.Duration, bool) {
	v, ok := r.env(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n <= 0 {
		r.ignore(name, "a number of milliseconds")
		return 0, false
	}
	return time.Duration(n) * time.Millisecond, true
}

// pairs parses name=value,name=value with percent-encoded values (W3C Baggage, as OpenTelemetry specifies), and returns nil if
// there is no pair.
func (r *reader) pairs(name string) map[string]string {
	text, ok := r.env(name)
	if !ok {
		return nil
	}
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		k, v, ok := strings.Cut(pair, "=")
		k = strings.TrimSpace(k)
		v, err := url.PathUnescape(strings.TrimSpace(v))
		if !ok || k == "" || err != nil || strings.ContainsAny(k+v, "\r\n\x00") {
			r.ignore("an entry of "+name, "name=value, percent-encoded")
			continue
		}
		all[k] = v
	}
	if len(all) == 0 {
		return nil
	}
	return all
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

const wantShare = "a number from 0 to 1"

func share(v float64) bool { return v >= 0 && v <= 1 }
