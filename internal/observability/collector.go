package observability

import "github.com/sluice-proxy/sluice/metrics/otlp"

// Collector is where metrics or spans of what resource says are pushed to, if e is one with OTLP.
func (e Exporter) Collector(resource map[string]string) otlp.Config {
	return otlp.Config{
		Protocol: e.Protocol, Endpoint: e.Endpoint, Headers: e.Headers, Gzip: e.Gzip, Timeout: e.Timeout, Interval: e.Interval,
		CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile, Resource: resource,
	}
}
