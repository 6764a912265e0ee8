package queueproxy

import "github.com/sluice-proxy/sluice/internal/knative"

// checkTLS refuses TLS variables that can't be meant, so that a mistake shows now and not when TLS is turned on.
func checkTLS(e *env) {
	optional(e, knative.EnvQueueServingTLSPort, wantPort, parsePort)
	if _, err := knative.TLSFromEnv(knative.PrefixQueueProxy, e.lookup); err != nil {
		e.bad = append(e.bad, err)
	}
}
