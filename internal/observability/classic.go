package observability

import (
	"errors"
	"strconv"
	"strings"
)

// ClassicMetrics reports whether backend, the value of the setting name, is Prometheus. The error is for other backends,
// which existed in Knative up to 1.18 and are not supported.
func ClassicMetrics(name, backend string) (bool, error) {
	switch strings.ToLower(backend) {
	case Prometheus:
		return true, nil
	case "", "none":
		return false, nil
	}
	r := newReader(nil)
	r.fail(name, backend, "none or prometheus")
	return false, r.bad[0]
}

// tracingNames are the names of the settings of config-tracing, for error messages.
type tracingNames struct{ backend, endpoint, rate, debug string }

// ClassicTracing reads the variables TRACING_CONFIG_BACKEND (none or zipkin), _ZIPKIN_ENDPOINT, _SAMPLE_RATE and _DEBUG,
// by which Knative configured the tracing of a queue-proxy up to 1.18. lookup is a function like os.LookupEnv.
func ClassicTracing(lookup func(string) (string, bool)) (Exporter, error) {
	const prefix = "TRACING_CONFIG_"
	return classicTracing(lookup, tracingNames{prefix + "BACKEND", prefix + "ZIPKIN_ENDPOINT", prefix + "SAMPLE_RATE", prefix + "DEBUG"})
}

// ClassicTracingMap reads the data of the ConfigMap config-tracing, from which Knative made those variables. data is nil if
// there is no such ConfigMap.
func ClassicTracingMap(data map[string]string) (Exporter, error) {
	lookup := func(key string) (string, bool) { v, ok := data[key]; return v, ok }
	return classicTracing(lookup, tracingNames{"backend", "zipkin-endpoint", "sample-rate", "debug"})
}

func classicTracing(lookup func(string) (string, bool), names tracingNames) (Exporter, error) {
	r := newReader(lookup)
	get := func(name string) string {
		v, _ := r.env(name)
		return v
	}
	switch backend := get(names.backend); strings.ToLower(backend) {
	case "", "none":
		return Exporter{}, nil
	case Zipkin:
	default:
		r.fail(names.backend, backend, "none or zipkin")
		return Exporter{}, errors.Join(r.bad...)
	}
	e := Exporter{Protocol: Zipkin, Endpoint: get(names.endpoint), ParentBased: true}
	if url, ok := collectorURL(Zipkin, e.Endpoint, "/api/v2/spans"); !ok || !strings.Contains(e.Endpoint, "://") {
		r.fail(names.endpoint, e.Endpoint, "the URL of Zipkin's /api/v2/spans")
	} else {
		e.Endpoint = url
	}
	e.SamplingRate = 0.1 // the default of Knative's config-tracing
	if v := get(names.rate); v != "" {
		rate, err := strconv.ParseFloat(v, 64)
		if err != nil || !share(rate) {
			r.fail(names.rate, v, wantShare)
		}
		e.SamplingRate = rate
	}
	if v := get(names.debug); v != "" {
		debug, err := strconv.ParseBool(v)
		if err != nil {
			r.fail(names.debug, v, "true or false")
		}
		if debug {
			e.SamplingRate, e.ParentBased = 1, false
		}
	}
	if err := errors.Join(r.bad...); err != nil {
		return Exporter{}, err
	}
	return e, nil
}
