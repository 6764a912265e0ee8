package kube

import (
	"context"
	"time"

	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// seldom returns a logger that writes each message at most once a minute; log may be nil.
func seldom(log *zap.Logger) *zap.Logger {
	if log == nil {
		return zap.NewNop()
	}
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, time.Minute, 1, 0)
	}))
}

// logged returns a context under which client-go logs to log.
func logged(ctx context.Context, log *zap.Logger) context.Context {
	return klog.NewContext(ctx, zapr.NewLogger(log))
}
