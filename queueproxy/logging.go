package queueproxy

import (
	"encoding/json"
	"io"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// loggerFrom makes the logger that the environment asks for; by default JSON lines of level info on stderr.
func loggerFrom(e *env, stderr io.Writer) *zap.Logger {
	level := optional(e, knative.EnvLoggingLevel, "a level: debug, info, warn or error", zapcore.ParseLevel)
	hasLevel := e.present(knative.EnvLoggingLevel) != ""
	text := e.present(knative.EnvLoggingConfig)
	if text == "" {
		encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
		return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(stderr)), level))
	}
	var c zap.Config
	err := json.Unmarshal([]byte(text), &c)
	if err != nil {
		e.fail("%s is not the JSON of a zap configuration: %w", knative.EnvLoggingConfig, err)
		return zap.NewNop()
	}
	if hasLevel || c.Level == (zap.AtomicLevel{}) {
		c.Level = zap.NewAtomicLevelAt(level)
	}
	log, err := c.Build()
	if err != nil {
		e.fail("%s makes no logger: %w", knative.EnvLoggingConfig, err)
		return zap.NewNop()
	}
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
