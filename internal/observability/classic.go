package observability

import (
	"errors"
	"strconv"
	"strings"
)

// ClassicTracing reads the variables TRACING_CONFIG_BACKEND (none or zipkin), _ZIPKIN_ENDPOINT, _SAMPLE_RATE and _DEBUG,
// by which Knative configured the tracing of a queue-proxy up to 1.18. Lookup is os.LookupEnv or like it.
func ClassicTracing(lookup func(string) (string, bool)) (Exporter, error) {
	const prefix = "TRACING_CONFIG_"
	r := newReader(lookup)
	get := func(name string) string {
		v, _ := r.env(prefix + name)
		return v
	}
	switch backend := get("BACKEND"); strings.ToLower(backend) {
	case "", "none":
		return Exporter{}, nil
	case Zipkin:
	default:
		r.fail(prefix+"BACKEND", backend, "none or zipkin")
		return Exporter{}, errors.Join(r.bad...)
	}
	e := Exporter{Protocol: Zipkin, Endpoint: get("ZIPKIN_ENDPOINT"), ParentBased: true}
	if url, ok := collectorURL(Zipkin, e.Endpoint, "/api/v2/spans"); !ok || !strings.Contains(e.Endpoint, "://") {
		r.fail(prefix+"ZIPKIN_ENDPOINT", e.Endpoint, "the URL of Zipkin's /api/v2/spans")
	} else {
		e.Endpoint = url
	}
	e.SamplingRate = 0.1 // the default of Knative's config-tracing
	if v := get("SAMPLE_RATE"); v != "" {
		rate, err := strconv.ParseFloat(v, 64)
		if err != nil || !share(rate) {
			r.fail(prefix+"SAMPLE_RATE", v, wantShare)
		}
		e.SamplingRate = rate
	}
	if v := get("DEBUG"); v != "" {
		debug, err := strconv.ParseBool(v)
		if err != nil {
			r.fail(prefix+"DEBUG", v, "true or false")
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
