package observability

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// wire is the JSON that Knative makes of config-observability for its queue-proxy.
type wire struct {
	RequestMetrics wireExporter `json:"requestMetrics"`
	Metrics        wireExporter `json:"metrics"`
	Tracing        wireExporter `json:"tracing"`
	Runtime        struct {
		Profiling string `json:"profiling"`
	} `json:"runtime"`
	EnableRequestLog      bool   `json:"enableRequestLog"`
	EnableProbeRequestLog bool   `json:"enableProbeRequestLog"`
	RequestLogTemplate    string `json:"requestLogTemplate"`
}

type wireExporter struct {
	Protocol       string        `json:"protocol"`
	Endpoint       string        `json:"endpoint"`
	ExportInterval time.Duration `json:"exportInterval"` // ns
	SamplingRate   float64       `json:"samplingRate"`
}

func (x wireExporter) named(name string) rawExporter {
	return rawExporter{
		protocol: x.Protocol, endpoint: x.Endpoint, interval: x.ExportInterval, rate: x.SamplingRate,
		protocolKey: name + ".protocol", endpointKey: name + ".endpoint",
		intervalKey: name + ".exportInterval", rateKey: name + ".samplingRate",
	}
}

// ParseJSON reads the value of OBSERVABILITY_CONFIG, or the defaults if it is empty. lookup, a function like os.LookupEnv,
// finds OpenTelemetry's variables; nil finds none. If ParseJSON returns an error, the settings that can't be used are off.
func ParseJSON(data string, lookup func(string) (string, bool)) (Config, error) {
	r := newReader(lookup)
	var w wire
	if data != "" {
		if err := json.Unmarshal([]byte(data), &w); err != nil {
			r.bad = append(r.bad, jsonError(err)) // after a value of a wrong kind w has all other values
		}
	}
	return r.result(Config{
		RequestMetrics: r.exporter(metricsSignal, w.RequestMetrics.named("requestMetrics"), Exporter{}),
		Metrics:        r.exporter(metricsSignal, w.Metrics.named("metrics"), Exporter{}),
		Tracing:        r.exporter(tracesSignal, w.Tracing.named("tracing"), Exporter{}),
		Profiling:      r.profiling("runtime.profiling", w.Runtime.Profiling, false),
		RequestLog: RequestLog{
			Enabled: w.EnableRequestLog, Probes: w.EnableProbeRequestLog, Template: w.RequestLogTemplate,
		},
	})
}

// jsonError describes a JSON error by its position. It does not repeat the value, which may hold a secret.
func jsonError(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if e.Field == "" {
			return fmt.Errorf("the whole is a JSON %s, expected an object", e.Value)
		}
		return fmt.Errorf("%s is a JSON %s, expected %s", e.Field, e.Value, jsonKind(e))
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("byte %d is not JSON, expected an object: %w", e.Offset, err)
	}
	return err
}

func jsonKind(e *json.UnmarshalTypeError) string {
	switch e.Type.Kind().String() {
	case "bool":
		return "true or false"
	case "string":
		return "a string"
	case "int64":
		return "a number of nanoseconds"
	case "float64":
		return "a number"
	default:
		return "an object"
	}
}
