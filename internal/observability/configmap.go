package observability

import (
	"strconv"
	"strings"
	"time"
)

// ParseMap reads the data of the ConfigMap config-observability, or the defaults if data is nil. lookup is as for ParseJSON.
// If ParseMap returns an error, the settings that can't be used have their values from before.
func ParseMap(data map[string]string, lookup func(string) (string, bool), before Config) (Config, error) {
	f := flat{reader: newReader(lookup), data: data}
	return f.result(Config{
		RequestMetrics: f.exporter(metricsSignal, "request-metrics-", before.RequestMetrics),
		Metrics:        f.exporter(metricsSignal, "metrics-", before.Metrics),
		Tracing:        f.exporter(tracesSignal, "tracing-", before.Tracing),
		Profiling:      f.profiling("runtime-profiling", f.text("runtime-profiling"), before.Profiling),
		RequestLog:     f.requestLog(before.RequestLog),
	})
}

func (f flat) requestLog(before RequestLog) RequestLog {
	bad := len(f.bad)
	l := RequestLog{
		Enabled:  f.bool("logging.enable-request-log"),
		Probes:   f.bool("logging.enable-probe-request-log"),
		Template: f.text(keyTemplate),
	}
	if _, set := f.data[keyTemplate]; set && l.Enabled && l.Template == "" {
		f.fail(keyTemplate, "", "a Go template, as logging.enable-request-log is true")
	}
	if len(f.bad) > bad {
		return before
	}
	return l
}

const keyTemplate = "logging.request-log-template"

// flat reads the keys of a ConfigMap.
type flat struct {
	*reader
	data map[string]string
}

func (f flat) text(key string) string { return strings.TrimSpace(f.data[key]) }

func (f flat) exporter(s signal, prefix string, before Exporter) Exporter {
	bad := len(f.bad)
	w := rawExporter{
		protocolKey: prefix + "protocol", endpointKey: prefix + "endpoint",
		intervalKey: prefix + "export-interval", rateKey: prefix + "sampling-rate",
	}
	w.protocol, w.endpoint = f.text(w.protocolKey), f.text(w.endpointKey)
	if s == tracesSignal {
		w.rate = value(f, w.rateKey, wantShare, func(v string) (float64, error) { return strconv.ParseFloat(v, 64) })
	} else {
		w.interval = value(f, w.intervalKey, "a duration such as 60s", time.ParseDuration)
	}
	e := f.reader.exporter(s, w, before)
	if len(f.bad) > bad {
		return before
	}
	return e
}

func (f flat) bool(key string) bool { return value(f, key, "true or false", strconv.ParseBool) }

// value parses the value of a key. It returns zero if the key is missing or, with an error recorded, can't be parsed.
func value[T any](f flat, key, want string, parse func(string) (T, error)) T {
	var zero T
	v, ok := f.data[key]
	if !ok {
		return zero
	}
	got, err := parse(strings.TrimSpace(v))
	if err != nil {
		f.fail(key, v, want)
		return zero
	}
	return got
}
