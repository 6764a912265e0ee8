package observability

import "github.com/sluice-proxy/sluice/metrics/otlp"

// Collector returns the configuration for pushing metrics or spans of resource to the collector of e, whose protocol is OTLP.
func (e Exporter) Collector(resource map[string]string) otlp.Config {
	return otlp.Config{
		Protocol: e.Protocol, Endpoint: e.Endpoint, Headers: e.Headers, Gzip: e.Gzip, Timeout: e.Timeout, Interval: e.Interval,
		CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile, Resource: resource,
	}
}
