// Package logging makes the logger that Knative's logging configuration describes, for the queue-proxy and the activator
// alike:
//
//	SERVING_LOGGING_CONFIG, SERVING_LOGGING_LEVEL ─┐
//	config-logging: zap-logger-config,             ├─► New ─► *zap.Logger, and errors
//	                loglevel.activator            ─┘
//
// Settings that a configuration leaves out have the defaults of Knative's own programs (knative.dev/pkg/logging). A mistake in
// it must not keep a program from serving: the defaults are used, and the mistake is returned as an error to log.
package logging

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New makes a logger of a zap configuration, which is JSON and may be empty, and a level, which overrides the configuration's
// unless it is empty. The path "stderr", which is the default output, means stderr. Other files that the configuration names
// stay open until the process ends.
//
// The logger is never nil. If config can't be used, configErr is the reason, and the defaults are used; levelErr is the reason
// why level is ignored. Their texts are for a line that begins with the name of the setting.
func New(config, level string, stderr io.Writer) (log *zap.Logger, configErr, levelErr error) {
	override, levelErr := parseLevel(level)
	c, configErr := parse(config)
	c.apply(override)
	log, err := c.build(stderr)
	if err != nil {
		configErr = fmt.Errorf("makes no logger, the defaults are used: %w", err)
		d := defaults()
		d.apply(override)
		log = d.must(stderr)
	}
	return log, configErr, levelErr
}

// Default makes the logger of an empty configuration.
func Default(level zapcore.Level, stderr io.Writer) *zap.Logger {
	c := defaults()
	c.apply(&level)
	return c.must(stderr)
}

// settings are a zap.Config whose build takes the writer for stderr.
type settings struct{ zap.Config }

func parse(config string) (settings, error) {
	c := defaults()
	if config == "" {
		return c, nil
	}
	if err := json.Unmarshal([]byte(config), &c.Config); err != nil {
		return defaults(), fmt.Errorf("is not the JSON of a zap configuration, the defaults are used: %w", err)
	}
	return c, nil
}

func (c settings) apply(override *zapcore.Level) {
	if override != nil {
		c.Level.SetLevel(*override)
	}
}

// must builds the defaults, which can't fail since they open no file.
func (c settings) must(stderr io.Writer) *zap.Logger {
	log, err := c.build(stderr)
	if err != nil {
		panic(err)
	}
	return log
}

// defaults are those of knative.dev/pkg/logging, which since Knative 1.2 are zapdriver's production configuration with
// durations as text: JSON lines with Google Cloud Logging's names of severities. There are two differences, unless the
// configuration sets them. Lines are not sampled, since every line that could be frequent is limited where it is logged, and
// a sampler's counters take half a megabyte in each pod. Errors have no stack (as with "disableStacktrace": true), which would
// show where the error is logged and not where it happened.
func defaults() settings {
	return settings{zap.Config{
		Level:            zap.NewAtomicLevelAt(zapcore.InfoLevel),
		Encoding:         "json",
		OutputPaths:      []string{pathStderr},
		ErrorOutputPaths: []string{pathStderr},
		EncoderConfig: zapcore.EncoderConfig{
			TimeKey: "timestamp", LevelKey: "severity", NameKey: "logger", CallerKey: "caller",
			MessageKey: "message", StacktraceKey: "stacktrace", LineEnding: zapcore.DefaultLineEnding,
			EncodeLevel: severity, EncodeTime: zapcore.RFC3339NanoTimeEncoder,
			EncodeDuration: zapcore.StringDurationEncoder, EncodeCaller: zapcore.ShortCallerEncoder,
		},
		DisableStacktrace: true,
	}}
}

const pathStderr = "stderr"

// build is zap.Config.Build with a given stderr.
func (c settings) build(stderr io.Writer) (*zap.Logger, error) {
	encoder, err := c.encoder()
	if err != nil {
		return nil, err
	}
	out, err := open(c.OutputPaths, stderr)
	if err != nil {
		return nil, err
	}
	errOut, err := open(c.ErrorOutputPaths, stderr)
	if err != nil {
		return nil, err
	}
	core := zapcore.NewCore(encoder, out, c.Level)
	if s := c.Sampling; s != nil {
		core = zapcore.NewSamplerWithOptions(core, time.Second, s.Initial, s.Thereafter)
	}
	for _, name := range slices.Sorted(maps.Keys(c.InitialFields)) {
		core = core.With([]zapcore.Field{zap.Any(name, c.InitialFields[name])})
	}
	return zap.New(core, c.options(errOut)...), nil
}

func (c settings) encoder() (zapcore.Encoder, error) {
	e := c.EncoderConfig
	if e.TimeKey != "" && e.EncodeTime == nil || e.CallerKey != "" && e.EncodeCaller == nil {
		return nil, errors.New("an encoder of times or callers is null")
	}
	switch c.Encoding {
	case "json":
		return zapcore.NewJSONEncoder(e), nil
	case "console":
		return zapcore.NewConsoleEncoder(e), nil
	}
	return nil, fmt.Errorf("encoding %.40q is neither json nor console", c.Encoding)
}

func (c settings) options(errOut zapcore.WriteSyncer) []zap.Option {
	all := []zap.Option{zap.ErrorOutput(errOut), zap.WithCaller(!c.DisableCaller)}
	stacks := zapcore.ErrorLevel
	if c.Development {
		stacks = zapcore.WarnLevel
		all = append(all, zap.Development())
	}
	if !c.DisableStacktrace {
		all = append(all, zap.AddStacktrace(stacks))
	}
	return all
}

// open opens paths as zap.Open does, except that the path "stderr" means the given writer.
func open(paths []string, stderr io.Writer) (zapcore.WriteSyncer, error) {
	others := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return p == pathStderr })
	out, _, err := zap.Open(others...)
	if err == nil && len(others) < len(paths) {
		out = zapcore.Lock(zap.CombineWriteSyncers(out, zapcore.AddSync(stderr)))
	}
	return out, err
}

// severity encodes a level by Google Cloud Logging's name for it
// (https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#logseverity).
func severity(l zapcore.Level, enc zapcore.PrimitiveArrayEncoder) {
	name, ok := map[zapcore.Level]string{
		zapcore.WarnLevel: "WARNING", zapcore.DPanicLevel: "CRITICAL", zapcore.PanicLevel: "ALERT", zapcore.FatalLevel: "EMERGENCY",
	}[l]
	if !ok {
		name = l.CapitalString() // DEBUG, INFO, ERROR
	}
	enc.AppendString(name)
}

// parseLevel returns nil for an empty text.
func parseLevel(text string) (*zapcore.Level, error) {
	if text == "" {
		return nil, nil
	}
	l, err := zapcore.ParseLevel(text)
	if err != nil {
		return nil, fmt.Errorf("is %.40q and is ignored, expected debug, info, warn or error", text)
	}
	return &l, nil
}
