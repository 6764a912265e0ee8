package queueenv

import (
	"io"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// Logger makes the logger that the environment configures; by default it writes JSON lines of level info to stderr.
func Logger(e *program.Environment, stderr io.Writer) *zap.Logger {
	log, configErr, levelErr := logging.New(e.Present(knative.EnvLoggingConfig), e.Present(knative.EnvLoggingLevel), stderr)
	e.Ignore(knative.EnvLoggingConfig, configErr)
	e.Ignore(knative.EnvLoggingLevel, levelErr)
	return log
}

// Named returns log with the revision and the pod in each line, in Knative's names.
func Named(log *zap.Logger, id queueproxy.Identity) *zap.Logger {
	return log.Named("queueproxy").With(zap.String("knative.dev/key", id.Namespace+"/"+id.Revision), zap.String("knative.dev/pod", id.Pod))
}
