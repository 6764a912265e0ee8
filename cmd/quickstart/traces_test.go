package main

import (
	"testing"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// A queue-proxy makes spans if the environment that the quickstart gives it says where to.
func TestTracesOfQueueProxies(t *testing.T) {
	for config, want := range map[string]struct{ on, fails bool }{
		"": {}, `{"tracing": {"protocol": "none"}}`: {}, "{": {fails: true}, `{"tracing": {"protocol": "morse"}}`: {fails: true},
		`{"tracing": {"protocol": "http/protobuf", "endpoint": "http://127.0.0.1:1"}}`: {on: true},
	} {
		t.Setenv(knative.EnvObservabilityConfig, config)
		t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_on")
		var c queueproxy.Config
		end, err := traces(&c)
		if (err != nil) != want.fails || (c.WrapPolicy != nil) != want.on {
			t.Errorf("%s: %v; wrapped %v", config, err, c.WrapPolicy != nil)
		}
		if err == nil {
			end()
		}
	}
}
