package main

import (
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Keys of config-logging (contract).
const (
	keyZapConfig = "zap-logger-config"
	keyLevel     = "loglevel.activator"
)

// newLogger writes JSON with the keys that Knative's config-logging asks for.
func newLogger(level zapcore.Level, w io.Writer) *zap.Logger { return zap.New(plainCore(level, w)) }

func plainCore(level zapcore.Level, w io.Writer) zapcore.Core {
	return zapcore.NewCore(zapcore.NewJSONEncoder(encoderConfig()), zapcore.Lock(zapcore.AddSync(w)), level)
}

func encoderConfig() zapcore.EncoderConfig {
	c := zap.NewProductionEncoderConfig()
	c.TimeKey, c.MessageKey, c.LevelKey, c.NameKey = "timestamp", "message", "severity", "logger"
	c.EncodeTime = zapcore.ISO8601TimeEncoder
	return c
}

// liveLog is a log whose level, form and place follow config-logging while the program runs.
type liveLog struct {
	*zap.Logger
	core *atomic.Pointer[zapcore.Core]
}

func newLiveLog(level zapcore.Level, w io.Writer, pod string) liveLog {
	core := plainCore(level, w)
	l := liveLog{core: new(atomic.Pointer[zapcore.Core])}
	l.core.Store(&core)
	l.Logger = zap.New(liveCore{core: l.core}, zap.AddCaller(), zap.AddStacktrace(zapcore.DPanicLevel)).
		Named("activator").With(zap.String("knative.dev/pod", pod)) // a key of Knative's
	return l
}

// set does what the ConfigMap says; nil: there is none. One that can't be used changes nothing.
func (l liveLog) set(data map[string]string) {
	core, level, err := configuredCore(data)
	switch {
	case data == nil:
	case err != nil:
		l.Error("the log stays as it is", zap.Error(err))
	default:
		l.core.Store(&core)
		l.Info("logging", zap.Stringer("level", level))
	}
}

// configuredCore makes what zap-logger-config describes, at the level that loglevel.activator says, if it does.
func configuredCore(data map[string]string) (zapcore.Core, zapcore.Level, error) {
	c := zap.NewProductionConfig() // of a configuration that says little
	c.Sampling = nil
	c.EncoderConfig = encoderConfig()
	if text := data[keyZapConfig]; text != "" {
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return nil, 0, fmt.Errorf("%s is not the JSON of a zap configuration: %w", keyZapConfig, err)
		}
	}
	if text := data[keyLevel]; text != "" {
		level, err := zapcore.ParseLevel(text)
		if err != nil {
			return nil, 0, fmt.Errorf("%s is %q, expected debug, info, warn or error", keyLevel, text)
		}
		c.Level.SetLevel(level)
	}
	log, err := c.Build()
	if err != nil {
		return nil, 0, fmt.Errorf("%s makes no log: %w", keyZapConfig, err)
	}
	return log.Core(), c.Level.Level(), nil
}

// liveCore hands each line to the newest core, and lets that choose (it may sample).
type liveCore struct {
	core *atomic.Pointer[zapcore.Core]
	with []zapcore.Field
}

func (c liveCore) newest() zapcore.Core { return *c.core.Load() }

func (c liveCore) Enabled(l zapcore.Level) bool { return c.newest().Enabled(l) }

func (c liveCore) With(fields []zapcore.Field) zapcore.Core {
	return liveCore{c.core, append(c.with[:len(c.with):len(c.with)], fields...)}
}

func (c liveCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	newest := c.newest()
	if !newest.Enabled(e.Level) {
		return ce
	}
	return newest.With(c.with).Check(e, ce)
}

func (c liveCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return c.newest().With(c.with).Write(e, fields)
}

func (c liveCore) Sync() error { return c.newest().Sync() }

// serverLog gets what net/http's servers have to say. It is mostly of clients that break off, for which there is no
// reason to wake anybody; a panic that they have caught is another matter.
type serverLog struct{ log *zap.Logger }

func newServerLog(log *zap.Logger) *stdlog.Logger { return stdlog.New(serverLog{log}, "", 0) }

func (l serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	if strings.Contains(text, "panic serving") {
		l.log.Error(text)
	} else {
		l.log.Debug(text)
	}
	return len(line), nil
}
