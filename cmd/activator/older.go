package main

import (
	"maps"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
)

// Keys of config-observability: today's, and those of Knative 1.2 to 1.18, which today's override.
const (
	keyMetrics      = "metrics-protocol"
	keyTracing      = "tracing-protocol"
	keyProfiling    = "runtime-profiling"
	keyOldMetrics   = "metrics.backend-destination"
	keyOldProfiling = "profiling.enable"
)

// translateOlder translates older keys into today's, unless those are set. It reports whether metrics should have their
// older names: an operator who has set the older key, or runs a release in which Prometheus was the default, has dashboards
// for these. The error is about a backend that is no longer supported.
func translateOlder(data map[string]string, release knative.Release) (current map[string]string, classic bool, err error) {
	if data == nil {
		return nil, false, nil
	}
	current = maps.Clone(data)
	if _, set := data[keyMetrics]; !set {
		backend := data[keyOldMetrics]
		if backend == "" && release.MetricsByDefault() {
			backend = observability.Prometheus
		}
		if classic, err = observability.ClassicMetrics(keyOldMetrics, backend); classic {
			current[keyMetrics] = observability.Prometheus
		}
	}
	if _, set := data[keyProfiling]; !set && strings.EqualFold(data[keyOldProfiling], "true") {
		current[keyProfiling] = "enabled"
	}
	return current, classic, err
}
