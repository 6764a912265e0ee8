package observability

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func environ(pairs ...string) func(string) (string, bool) {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

func check(t *testing.T, got Config, err error, want Config, wantErr string) {
	t.Helper()
	if wantErr != "" && (err == nil || err.Error() != wantErr) {
		t.Errorf("error %v, want %s", err, wantErr)
	} else if wantErr == "" && err != nil {
		t.Errorf("error %v", err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseJSON(t *testing.T) {
	for name, c := range map[string]struct {
		json string
		env  []string
		want Config
		err  string
	}{
		"nothing":      {},
		"null":         {json: "null"},
		"empty":        {json: "{}"},
		"unknown keys": {json: `{"tracing":{"colour":"red"},"EnableVarLogCollection":true,"LoggingURLTemplate":"x","new":[1]}`},
		"as Knative writes its defaults": {
			json: `{"tracing":{"protocol":"none"},"metrics":{"protocol":"none"},"runtime":{"profiling":"disabled","exportInterval":15000000000},` +
				`"requestMetrics":{"protocol":"none"},"requestLogTemplate":"{{.TraceID}}"}`,
			want: Config{RequestLog: RequestLog{Template: "{{.TraceID}}"}},
		},
		"everything": {
			json: `{"tracing":{"protocol":"http/protobuf","endpoint":"http://jaeger.o11y:4318/v1/traces","samplingRate":0.25},` +
				`"metrics":{"protocol":"prometheus"},"runtime":{"profiling":"enabled"},` +
				`"requestMetrics":{"protocol":"grpc","endpoint":"http://collector:4317","exportInterval":30000000000},` +
				`"enableRequestLog":true,"requestLogTemplate":"{{.Request.Method}}","enableProbeRequestLog":true}`,
			want: Config{
				Tracing:        Exporter{Protocol: HTTP, Endpoint: "http://jaeger.o11y:4318/v1/traces", SamplingRate: 0.25, ParentBased: true},
				Metrics:        Exporter{Protocol: Prometheus},
				RequestMetrics: Exporter{Protocol: GRPC, Endpoint: "http://collector:4317", Interval: 30 * time.Second},
				Profiling:      true,
				RequestLog:     RequestLog{Enabled: true, Probes: true, Template: "{{.Request.Method}}"},
			},
		},
		"endpoints": {
			json: `{"requestMetrics":{"protocol":"http/protobuf","endpoint":"collector:4318"},"metrics":{"protocol":"http/protobuf","endpoint":"http://10.1.2.3:9/"},` +
				`"tracing":{"protocol":"grpc","endpoint":"[::1]:4317/ignored?x"}}`,
			want: Config{
				RequestMetrics: Exporter{Protocol: HTTP, Endpoint: "https://collector:4318/v1/metrics"},
				Metrics:        Exporter{Protocol: HTTP, Endpoint: "http://10.1.2.3:9/"},
				Tracing:        Exporter{Protocol: GRPC, Endpoint: "https://[::1]:4317"},
			},
		},
		"prometheus at an address": {
			json: `{"requestMetrics":{"protocol":"prometheus","endpoint":":9095"}}`,
			want: Config{RequestMetrics: Exporter{Protocol: Prometheus, Endpoint: ":9095"}},
		},
		"an endpoint for nothing is nothing": {json: `{"tracing":{"protocol":"none","endpoint":"x","samplingRate":7}}`},
		"stdout records all":                 {json: `{"tracing":{"protocol":"stdout"}}`, want: Config{Tracing: Exporter{Protocol: Stdout, SamplingRate: 1}}},

		"no JSON":        {json: "{", err: "byte 1 is not JSON, expected an object: unexpected end of JSON input"},
		"a list":         {json: "[1]", err: "the whole is a JSON array, expected an object"},
		"a wrong kind":   {json: `{"tracing":{"samplingRate":"secret"}}`, err: "tracing.samplingRate is a JSON string, expected a number"},
		"a duration":     {json: `{"metrics":{"exportInterval":"60s"}}`, err: "metrics.exportInterval is a JSON string, expected a number of nanoseconds"},
		"no such thing":  {json: `{"metrics":{"protocol":"stdout"}}`, err: `metrics.protocol is "stdout", expected none, prometheus, http/protobuf or grpc`},
		"nor this":       {json: `{"tracing":{"protocol":"prometheus"}}`, err: `tracing.protocol is "prometheus", expected none, stdout, http/protobuf or grpc`},
		"profiling":      {json: `{"runtime":{"profiling":"yes"}}`, err: `runtime.profiling is "yes", expected enabled or disabled`},
		"no endpoint":    {json: `{"metrics":{"protocol":"grpc"}}`, err: `metrics.endpoint is "", expected the http:// or https:// URL of a collector`},
		"no collector":   {json: `{"metrics":{"protocol":"grpc","endpoint":"unix://u:p@/x"}}`, err: `metrics.endpoint is "…@/x", expected the http:// or https:// URL of a collector`},
		"no address":     {json: `{"requestMetrics":{"protocol":"prometheus","endpoint":"9091"}}`, err: `requestMetrics.endpoint is "9091", expected host:port to listen on`},
		"interval":       {json: `{"requestMetrics":{"protocol":"prometheus","exportInterval":-1}}`, err: `requestMetrics.exportInterval is "-1ns", expected a duration that is not negative`},
		"rate":           {json: `{"tracing":{"protocol":"stdout","samplingRate":1.5}}`, err: `tracing.samplingRate is "1.5", expected a number from 0 to 1`},
		"two bad values": {json: `{"runtime":{"profiling":"yes"},"metrics":{"protocol":"x"}}`, err: "metrics.protocol is \"x\", expected none, prometheus, http/protobuf or grpc\nruntime.profiling is \"yes\", expected enabled or disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseJSON(c.json, environ(c.env...))
			check(t, got, err, c.want, c.err)
		})
	}
}

// A value that can't be used affects only its part of metrics, traces, profiles and the request log: that part is off or, for
// a ConfigMap that has been read before, keeps its previous setting.
func TestC5UnknownPartsLeaveTheOthers(t *testing.T) {
	others := Config{
		Metrics: Exporter{Protocol: Prometheus}, RequestMetrics: Exporter{Protocol: Prometheus, Endpoint: ":9095"},
		Tracing: Exporter{Protocol: Stdout, SamplingRate: 1}, Profiling: true, RequestLog: RequestLog{Enabled: true, Template: "x"},
	}
	before := Config{
		Metrics: Exporter{Protocol: HTTP, Endpoint: "http://m"}, RequestMetrics: Exporter{Protocol: HTTP, Endpoint: "http://r"},
		Tracing: Exporter{Protocol: HTTP, Endpoint: "http://t"}, RequestLog: RequestLog{Template: "before"},
	}
	data := func(change ...string) map[string]string {
		m := map[string]string{
			"metrics-protocol": "prometheus", "request-metrics-protocol": "prometheus", "request-metrics-endpoint": ":9095",
			"tracing-protocol": "stdout", "runtime-profiling": "enabled",
			"logging.enable-request-log": "true", "logging.request-log-template": "x",
		}
		for i := 0; i < len(change); i += 2 {
			m[change[i]] = change[i+1]
		}
		return m
	}
	for name, c := range map[string]struct {
		change   []string
		json     string
		off, was func(c *Config)
	}{
		"metrics":         {[]string{"metrics-protocol", "stackdriver"}, `"metrics":{"protocol":"stackdriver"}`, func(c *Config) { c.Metrics = Exporter{} }, func(c *Config) { c.Metrics = before.Metrics }},
		"interval":        {[]string{"metrics-export-interval", "1"}, `"metrics":{"protocol":"prometheus","exportInterval":-1}`, func(c *Config) { c.Metrics = Exporter{} }, func(c *Config) { c.Metrics = before.Metrics }},
		"request metrics": {[]string{"request-metrics-protocol", "opencensus"}, `"requestMetrics":{"protocol":"opencensus"}`, func(c *Config) { c.RequestMetrics = Exporter{} }, func(c *Config) { c.RequestMetrics = before.RequestMetrics }},
		"traces":          {[]string{"tracing-protocol", "jaeger"}, `"tracing":{"protocol":"jaeger"}`, func(c *Config) { c.Tracing = Exporter{} }, func(c *Config) { c.Tracing = before.Tracing }},
		"profiles":        {[]string{"runtime-profiling", "maybe"}, `"runtime":{"profiling":"maybe"}`, func(c *Config) { c.Profiling = false }, func(c *Config) { c.Profiling = false }},
		"request log":     {[]string{"logging.enable-request-log", "yes"}, "", nil, func(c *Config) { c.RequestLog = before.RequestLog }},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseMap(data(c.change...), nil, before); err == nil {
				t.Error("no error")
			} else {
				want := others
				c.was(&want)
				check(t, got, nil, want, "")
			}
			if c.json == "" {
				return
			}
			// If a key comes twice Go uses the later value.
			text := `{"metrics":{"protocol":"prometheus"},"requestMetrics":{"protocol":"prometheus","endpoint":":9095"},"tracing":{"protocol":"stdout"},` +
				`"runtime":{"profiling":"enabled"},"enableRequestLog":true,"requestLogTemplate":"x",` + c.json + `}`
			if got, err := ParseJSON(text, nil); err == nil {
				t.Error("no error")
			} else {
				want := others
				c.off(&want)
				check(t, got, nil, want, "")
			}
		})
	}
	t.Run("a wrong kind", func(t *testing.T) {
		got, err := ParseJSON(`{"requestMetrics":1,"tracing":{"protocol":"stdout"},"enableRequestLog":true}`, nil)
		check(t, got, err, Config{Tracing: Exporter{Protocol: Stdout, SamplingRate: 1}, RequestLog: RequestLog{Enabled: true}},
			"requestMetrics is a JSON number, expected an object")
	})
}

func TestParseMap(t *testing.T) {
	for name, c := range map[string]struct {
		data map[string]string
		want Config
		err  string
	}{
		"nothing":  {},
		"examples": {data: map[string]string{"_example": "metrics-protocol: grpc", "logging.enable-var-log-collection": "maybe"}},
		"everything": {
			data: map[string]string{
				"metrics-protocol": "http/protobuf", "metrics-endpoint": " http://example.com/v1/traces\n", "metrics-export-interval": "60s",
				"request-metrics-protocol": "prometheus", "request-metrics-endpoint": "0.0.0.0:9091", "request-metrics-export-interval": "0s",
				"tracing-protocol": "grpc", "tracing-endpoint": "https://jaeger:4317", "tracing-sampling-rate": "1",
				"runtime-profiling": "enabled", "runtime-export-interval": "x",
				"logging.enable-request-log": "true", "logging.request-log-template": " {{.TraceID}}\n", "logging.enable-probe-request-log": "true",
			},
			want: Config{
				Metrics:        Exporter{Protocol: HTTP, Endpoint: "http://example.com/v1/traces", Interval: time.Minute},
				RequestMetrics: Exporter{Protocol: Prometheus, Endpoint: "0.0.0.0:9091"},
				Tracing:        Exporter{Protocol: GRPC, Endpoint: "https://jaeger:4317", SamplingRate: 1},
				Profiling:      true,
				RequestLog:     RequestLog{Enabled: true, Probes: true, Template: "{{.TraceID}}"},
			},
		},
		"the built-in template": {
			data: map[string]string{"logging.enable-request-log": "true"},
			want: Config{RequestLog: RequestLog{Enabled: true}},
		},
		"no template": {
			data: map[string]string{"logging.enable-request-log": "true", "logging.request-log-template": ""},
			err:  `logging.request-log-template is "", expected a Go template, as logging.enable-request-log is true`,
		},
		"a switch":    {data: map[string]string{"logging.enable-request-log": "on"}, err: `logging.enable-request-log is "on", expected true or false`},
		"an interval": {data: map[string]string{"metrics-export-interval": "60"}, err: `metrics-export-interval is "60", expected a duration such as 60s`},
		"negative": {
			data: map[string]string{"metrics-protocol": "prometheus", "metrics-export-interval": "-60s"},
			err:  `metrics-export-interval is "-1m0s", expected a duration that is not negative`,
		},
		"a rate":     {data: map[string]string{"tracing-sampling-rate": "10%"}, err: `tracing-sampling-rate is "10%", expected a number from 0 to 1`},
		"not one":    {data: map[string]string{"tracing-protocol": "stdout", "tracing-sampling-rate": "NaN"}, err: `tracing-sampling-rate is "NaN", expected a number from 0 to 1`},
		"a line":     {data: map[string]string{"runtime-profiling": "on\noff"}, err: `runtime-profiling is "on\noff", expected enabled or disabled`},
		"a protocol": {data: map[string]string{"request-metrics-protocol": "opencensus"}, err: `request-metrics-protocol is "opencensus", expected none, prometheus, http/protobuf or grpc`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseMap(c.data, nil, Config{})
			check(t, got, err, c.want, c.err)
		})
	}
}

func TestOpenTelemetryOverrides(t *testing.T) {
	const metrics = `{"metrics":{"protocol":"http/protobuf","endpoint":"http://a:1/x","exportInterval":1000000000}}`
	const traces = `{"tracing":{"protocol":"grpc","endpoint":"http://a:1","samplingRate":0.5}}`
	m := func(change func(*Exporter)) Config {
		e := Exporter{Protocol: HTTP, Endpoint: "http://a:1/x", Interval: time.Second}
		change(&e)
		return Config{Metrics: e}
	}
	tr := func(change func(*Exporter)) Config {
		e := Exporter{Protocol: GRPC, Endpoint: "http://a:1", SamplingRate: 0.5, ParentBased: true}
		change(&e)
		return Config{Tracing: e}
	}
	ignored := func(c Config, lines ...string) Config { c.Ignored = lines; return c }
	same := func(*Exporter) {}
	for name, c := range map[string]struct {
		json string
		env  []string
		want Config
	}{
		"the general endpoint is a base": {metrics, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:2/base/"}, m(func(e *Exporter) { e.Endpoint = "http://b:2/base/v1/metrics" })},
		"the signal's is taken as it is": {
			metrics,
			[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:2", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c:3"},
			m(func(e *Exporter) { e.Endpoint = "http://c:3/" }),
		},
		"another signal's is not":   {metrics, []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2"}, m(same)},
		"empty is unset":            {metrics, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "", "OTEL_METRIC_EXPORT_INTERVAL", " "}, m(same)},
		"no endpoint but that":      {`{"tracing":{"protocol":"grpc"}}`, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "b:2", "OTEL_EXPORTER_OTLP_INSECURE", "True"}, Config{Tracing: Exporter{Protocol: GRPC, Endpoint: "http://b:2"}}},
		"a scheme beats insecure":   {traces, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://b:2", "OTEL_EXPORTER_OTLP_INSECURE", "true"}, tr(func(e *Exporter) { e.Endpoint = "https://b:2" })},
		"not a URL":                 {metrics, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://b"}, ignored(m(same), "OTEL_EXPORTER_OTLP_ENDPOINT is ignored, expected the http:// or https:// URL of a collector")},
		"interval":                  {metrics, []string{"OTEL_METRIC_EXPORT_INTERVAL", "5000"}, m(func(e *Exporter) { e.Interval = 5 * time.Second })},
		"not an interval":           {metrics, []string{"OTEL_METRIC_EXPORT_INTERVAL", "5s"}, ignored(m(same), "OTEL_METRIC_EXPORT_INTERVAL is ignored, expected a number of milliseconds")},
		"headers":                   {metrics, []string{"OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=1"}, m(func(e *Exporter) { e.Headers = map[string]string{"api-key": "a b", "x": "1"} })},
		"the signal's headers":      {metrics, []string{"OTEL_EXPORTER_OTLP_HEADERS", "a=1", "OTEL_EXPORTER_OTLP_METRICS_HEADERS", "b=2"}, m(func(e *Exporter) { e.Headers = map[string]string{"b": "2"} })},
		"not headers":               {metrics, []string{"OTEL_EXPORTER_OTLP_HEADERS", "a=%0a"}, ignored(m(same), "an entry of OTEL_EXPORTER_OTLP_HEADERS is ignored, expected name=value, percent-encoded")},
		"compression and the rest":  {metrics, []string{"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1500", "OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca"}, m(func(e *Exporter) { e.Gzip, e.Timeout, e.CAFile = true, 1500*time.Millisecond, "/ca" })},
		"no protocol, no override":  {`{}`, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:2", "OTEL_TRACES_SAMPLER", "always_on"}, Config{}},
		"the protocol is Knative's": {metrics, []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, m(same)},
		"always":                    {traces, []string{"OTEL_TRACES_SAMPLER", "always_on"}, tr(func(e *Exporter) { e.SamplingRate, e.ParentBased = 1, false })},
		"never":                     {traces, []string{"OTEL_TRACES_SAMPLER", "always_off"}, tr(func(e *Exporter) { e.SamplingRate, e.ParentBased = 0, false })},
		"a ratio":                   {traces, []string{"OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.125"}, tr(func(e *Exporter) { e.SamplingRate, e.ParentBased = 0.125, false })},
		"as the parent":             {traces, []string{"OTEL_TRACES_SAMPLER", "parentbased_traceidratio"}, tr(func(e *Exporter) { e.SamplingRate = 1 })},
		"the argument alone":        {traces, []string{"OTEL_TRACES_SAMPLER_ARG", "0.75"}, tr(func(e *Exporter) { e.SamplingRate = 0.75 })},
		"not a sampler":             {traces, []string{"OTEL_TRACES_SAMPLER", "xray"}, ignored(tr(same), "OTEL_TRACES_SAMPLER is ignored, expected always_on, always_off, traceidratio or one of them after parentbased_")},
		"not a share":               {traces, []string{"OTEL_TRACES_SAMPLER_ARG", "2"}, ignored(tr(same), "OTEL_TRACES_SAMPLER_ARG is ignored, expected a number from 0 to 1")},
		"a name and a resource":     {`{}`, []string{"OTEL_SERVICE_NAME", "svc", "OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=c%2C1,a=b"}, Config{ServiceName: "svc", Resource: map[string]string{"k8s.cluster.name": "c,1", "a": "b"}}},
		"a certificate without a key": {
			metrics,
			[]string{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c"},
			ignored(m(same), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE without OTEL_EXPORTER_OTLP_CLIENT_KEY or the reverse is ignored, expected both"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseJSON(c.json, environ(c.env...))
			check(t, got, err, c.want, "")
		})
	}
}

func TestClassicTracing(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		want Exporter
		err  string
	}{
		"nothing": {},
		"none":    {env: []string{"TRACING_CONFIG_BACKEND", "none", "TRACING_CONFIG_SAMPLE_RATE", "x"}},
		"zipkin": {
			env:  []string{"TRACING_CONFIG_BACKEND", "zipkin", "TRACING_CONFIG_ZIPKIN_ENDPOINT", "http://z:9411/api/v2/spans", "TRACING_CONFIG_SAMPLE_RATE", "0.5"},
			want: Exporter{Protocol: Zipkin, Endpoint: "http://z:9411/api/v2/spans", SamplingRate: 0.5, ParentBased: true},
		},
		"debug": {
			env:  []string{"TRACING_CONFIG_BACKEND", "zipkin", "TRACING_CONFIG_ZIPKIN_ENDPOINT", "http://z:9411", "TRACING_CONFIG_DEBUG", "true"},
			want: Exporter{Protocol: Zipkin, Endpoint: "http://z:9411/api/v2/spans", SamplingRate: 1},
		},
		"stackdriver": {env: []string{"TRACING_CONFIG_BACKEND", "stackdriver"}, err: `TRACING_CONFIG_BACKEND is "stackdriver", expected none or zipkin`},
		"all wrong": {
			env: []string{"TRACING_CONFIG_BACKEND", "zipkin", "TRACING_CONFIG_SAMPLE_RATE", "2", "TRACING_CONFIG_DEBUG", "x"},
			err: "TRACING_CONFIG_ZIPKIN_ENDPOINT is \"\", expected the URL of Zipkin's /api/v2/spans\nTRACING_CONFIG_SAMPLE_RATE is \"2\", expected a number from 0 to 1\nTRACING_CONFIG_DEBUG is \"x\", expected true or false",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ClassicTracing(environ(c.env...))
			if c.err != "" && (err == nil || err.Error() != c.err) || c.err == "" && err != nil {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// sane fails unless a parser's result is as documented.
func sane(t *testing.T, c Config, err error) {
	t.Helper()
	if err != nil && strings.ContainsAny(strings.ReplaceAll(err.Error(), "\n", ""), "\r\x00") {
		t.Fatalf("an error with control characters: %q", err)
	}
	for _, e := range []Exporter{c.Metrics, c.RequestMetrics, c.Tracing} {
		switch {
		case e.Protocol == None && !reflect.DeepEqual(e, Exporter{}):
			t.Fatalf("the protocol is None, but other fields are set: %+v", e)
		case e.Interval < 0, !share(e.SamplingRate):
			t.Fatalf("out of range: %+v", e)
		case e.OTLP():
			if again, ok := collectorURL(e.Protocol, e.Endpoint, ""); !ok || again != e.Endpoint {
				t.Fatalf("endpoint %q is invalid, or changes to %q when it is parsed again", e.Endpoint, again)
			}
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add(`{"tracing":{"protocol":"grpc","endpoint":"a:1","samplingRate":0.5},"enableRequestLog":true}`, "http://x/y")
	f.Add(`{"metrics":{"protocol":"prometheus","endpoint":":1"}}`, "")
	f.Fuzz(func(t *testing.T, data, override string) {
		c, err := ParseJSON(data, environ("OTEL_EXPORTER_OTLP_ENDPOINT", override, "OTEL_EXPORTER_OTLP_HEADERS", override, "OTEL_TRACES_SAMPLER_ARG", override))
		sane(t, c, err)
	})
}

func FuzzParseMap(f *testing.F) {
	f.Add("metrics-protocol", "grpc", "metrics-endpoint", "http://a:1", "")
	f.Add("tracing-sampling-rate", "1", "tracing-protocol", "stdout", "")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2, override string) {
		c, err := ParseMap(map[string]string{k1: v1, k2: v2}, environ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", override), Config{})
		sane(t, c, err)
	})
}
