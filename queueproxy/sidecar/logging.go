package sidecar

import (
	"io"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/program"
)

// loggerFrom makes the logger that the environment configures; by default it writes JSON lines of level info to stderr.
func loggerFrom(e *program.Environment, stderr io.Writer) *zap.Logger {
	log, configErr, levelErr := logging.New(e.Present(knative.EnvLoggingConfig), e.Present(knative.EnvLoggingLevel), stderr)
	e.Ignore(knative.EnvLoggingConfig, configErr)
	e.Ignore(knative.EnvLoggingLevel, levelErr)
	return log
}
