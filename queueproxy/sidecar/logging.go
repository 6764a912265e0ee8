package sidecar

import (
	"io"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/logging"
)

// loggerFrom makes the logger that the environment asks for; by default JSON lines of level info on stderr.
func loggerFrom(e *env, stderr io.Writer) *zap.Logger {
	log, configErr, levelErr := logging.New(e.present(knative.EnvLoggingConfig), e.present(knative.EnvLoggingLevel), stderr)
	e.ignore(knative.EnvLoggingConfig, configErr)
	e.ignore(knative.EnvLoggingLevel, levelErr)
	return log
}
