package main

import (
	"maps"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
)

// Keys of config-observability, today's and those of Knative 1.2 to 1.18, which today's overrule.
const (
	keyMetrics      = "metrics-protocol"
	keyTracing      = "tracing-protocol"
	keyProfiling    = "runtime-profiling"
	keyOldMetrics   = "metrics.backend-destination"
	keyOldProfiling = "profiling.enable"
)

// fromOlder says in today's keys what is said in older ones alone, and whether metrics are to have their older names:
// those who wrote the older key, or run a release in which Prometheus was the default, have dashboards for them. The error
// is of a backend that is no more.
func fromOlder(data map[string]string, release knative.Release) (current map[string]string, classic bool, err error) {
	if data == nil {
		return nil, false, nil
	}
	current = maps.Clone(data)
	if _, said := data[keyMetrics]; !said {
		backend := data[keyOldMetrics]
		if backend == "" && release.MetricsByDefault() {
			backend = observability.Prometheus
		}
		if classic, err = observability.ClassicMetrics(keyOldMetrics, backend); classic {
			current[keyMetrics] = observability.Prometheus
		}
	}
	if _, said := data[keyProfiling]; !said && strings.EqualFold(data[keyOldProfiling], "true") {
		current[keyProfiling] = "enabled"
	}
	return current, classic, err
}
