// Package kube tells an activator what Kubernetes knows of revisions and their pods.
package kube

import (
	_ "go.opencensus.io/trace"
	_ "go.opentelemetry.io/proto/otlp/metrics/v1"
	_ "go.opentelemetry.io/proto/otlp/trace/v1"
	_ "k8s.io/api/core/v1"
	_ "k8s.io/api/authorization/v1"
	_ "k8s.io/api/discovery/v1"
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"
	_ "k8s.io/client-go/rest"
	_ "k8s.io/client-go/tools/cache"
	_ "k8s.io/client-go/tools/clientcmd"
	_ "k8s.io/client-go/kubernetes/fake"
	_ "k8s.io/klog/v2"
	_ "github.com/go-logr/zapr"
)
