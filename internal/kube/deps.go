package kube

import (
	_ "go.opencensus.io/trace"
	_ "go.opentelemetry.io/proto/otlp/metrics/v1"
	_ "go.opentelemetry.io/proto/otlp/trace/v1"
	_ "k8s.io/client-go/tools/clientcmd"
)
