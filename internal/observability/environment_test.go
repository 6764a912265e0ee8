package observability

import "testing"

func TestFromEnvironment(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	always := func(protocol, endpoint string) Config {
		return Config{Tracing: Exporter{Protocol: protocol, Endpoint: endpoint, SamplingRate: 1, ParentBased: true}}
	}
	ignored := func(c Config, line string) Config {
		c.Ignored = []string{line}
		return c
	}
	for _, c := range []struct {
		env  []string
		want Config
	}{
		{nil, Config{}},
		{[]string{"OTEL_TRACES_EXPORTER", "otlp"}, always(HTTP, "http://localhost:4318/v1/traces")},
		{[]string{"OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, always(GRPC, "http://localhost:4317")},
		{[]string{endpoint, "http://c:1"}, always(HTTP, "http://c:1/v1/traces")},
		{[]string{endpoint, "http://c:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d:1/x"}, always(HTTP, "http://d:1/x")},
		{[]string{endpoint, "http://c:1", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"}, always(GRPC, "http://c:1")},
		{[]string{endpoint, "http://c:1", "OTEL_SDK_DISABLED", "true"}, Config{}},
		{[]string{endpoint, "http://c:1", "OTEL_TRACES_EXPORTER", "none"}, Config{}},
		{[]string{endpoint, "http://c:1", "OTEL_TRACES_EXPORTER", "console"}, ignored(Config{}, "OTEL_TRACES_EXPORTER is ignored, expected otlp or none")},
		{
			[]string{endpoint, "http://c:1", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"},
			ignored(always(HTTP, "http://c:1/v1/traces"), "OTEL_EXPORTER_OTLP_PROTOCOL is ignored, expected http/protobuf or grpc"),
		},
		{[]string{endpoint, "::", "OTEL_SERVICE_NAME", "me"}, func() Config {
			c := ignored(always(HTTP, "http://localhost:4318/v1/traces"), endpoint+" is ignored, expected the http:// or https:// URL of a collector")
			c.ServiceName = "me"
			return c
		}()},
		{
			[]string{endpoint, "http://c:1", "OTEL_TRACES_SAMPLER_ARG", "0.5"},
			Config{Tracing: Exporter{Protocol: HTTP, Endpoint: "http://c:1/v1/traces", SamplingRate: .5, ParentBased: true}},
		},
		{
			[]string{endpoint, "http://c:1", "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.5"},
			Config{Tracing: Exporter{Protocol: HTTP, Endpoint: "http://c:1/v1/traces", SamplingRate: .5}},
		},
	} {
		check(t, FromEnvironment(environ(c.env...)), nil, c.want, "")
	}
}
