package queueproxy

import (
	"io"
	"strings"

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

// serverLog gets what net/http's servers have to say. It is mostly of clients that break off, for which there is no
// reason to wake anybody; a panic that they have caught is another matter.
type serverLog struct{ log *zap.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	if strings.Contains(text, "panic serving") {
		l.log.Error(text)
	} else {
		l.log.Debug(text)
	}
	return len(line), nil
}
