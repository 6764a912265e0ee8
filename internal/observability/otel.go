package observability

import (
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// env returns one of OpenTelemetry's variables; an empty one counts as unset (SDK specification).
func (r *reader) env(name string) (string, bool) {
	v, _ := r.lookup(name)
	v = strings.TrimSpace(v)
	return v, v != ""
}

func (r *reader) ignore(name, want string) {
	r.ignored = append(r.ignored, name+" is ignored, expected "+want)
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

const wantShare = "a number from 0 to 1"

func share(v float64) bool { return v >= 0 && v <= 1 }

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
