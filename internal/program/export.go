package program

import (
	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// Collector is where metrics or spans are pushed to that e describes, as what belongs to resource.
func Collector(e observability.Exporter, resource map[string]string) otlp.Config {
	return otlp.Config{
		Protocol: e.Protocol, Endpoint: e.Endpoint, Headers: e.Headers, Gzip: e.Gzip, Timeout: e.Timeout, Interval: e.Interval,
		CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile, Resource: resource,
	}
}

// Failing logs the first of a row of failures to export, and its end.
func Failing(log *zap.Logger, of string) func(error) {
	return func(err error) {
		if err != nil {
			log.Warn("the collector of "+of+" takes none", zap.Error(err))
		} else {
			log.Info("the collector of " + of + " takes them again")
		}
	}
}
