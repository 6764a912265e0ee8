package main

import (
	"io"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/internal/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Keys of config-logging (contract).
const (
	keyZapConfig = "zap-logger-config"
	keyLevel     = "loglevel.activator"
)

// liveLog is a log whose level, encoding and output follow config-logging while the program runs.
type liveLog struct {
	*zap.Logger
	stderr io.Writer
	core   *atomic.Pointer[zapcore.Core]
}

func newLiveLog(level zapcore.Level, w io.Writer, pod string) liveLog {
	core := logging.Default(level, w).Core()
	l := liveLog{stderr: w, core: new(atomic.Pointer[zapcore.Core])}
	l.core.Store(&core)
	l.Logger = zap.New(liveCore{core: l.core}, zap.AddCaller(), zap.AddStacktrace(zapcore.DPanicLevel)).
		Named("activator").With(zap.String("knative.dev/pod", pod)) // a key of Knative's
	return l
}

// set applies the ConfigMap as a restart would: a setting that can't be used is logged, and its default is used. Nil means
// that there is no ConfigMap, and changes nothing.
func (l liveLog) set(data map[string]string) {
	if data == nil {
		return
	}
	log, configErr, levelErr := logging.New(data[keyZapConfig], data[keyLevel], l.stderr)
	core := log.Core()
	l.core.Store(&core)
	if configErr != nil {
		l.Warn(keyZapConfig + " " + configErr.Error())
	}
	if levelErr != nil {
		l.Warn(keyLevel + " " + levelErr.Error())
	}
	l.Info("logging", zap.Stringer("level", zapcore.LevelOf(core)))
}

// liveCore passes each entry to the newest core, which decides whether to write it, as it may sample.
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
