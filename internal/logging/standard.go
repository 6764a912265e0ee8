package logging

import (
	stdlog "log"
	"strings"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/logpace"
)

// Standard redirects the standard library's logger to log, until undo, with one line in ten seconds at most. net/http's client
// writes only there what an upstream does wrong, such as a body in a response to HEAD, which may happen with each response.
// Call Standard from main, since a process has one such logger. undo doesn't block.
func Standard(log *zap.Logger) (undo func()) {
	out, flags := stdlog.Writer(), stdlog.Flags()
	stdlog.SetFlags(0)
	stdlog.SetOutput(&standard{log: log.WithOptions(zap.WithCaller(false))})
	return func() {
		stdlog.SetFlags(flags)
		stdlog.SetOutput(out)
	}
}

type standard struct {
	log  *zap.Logger
	pace logpace.Pace
}

// Write logs one line, without the bytes that were received, which may be private.
func (s *standard) Write(line []byte) (int, error) {
	if more, due := s.pace.Due(); due {
		text, _, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " starting with ")
		s.log.Info(text, zap.Int("suppressed", more))
	}
	return len(line), nil
}

// Servers returns a logger for servers of net/http. It logs panics as errors, and all else, which is mostly about clients that
// disconnect, as debug.
func Servers(log *zap.Logger) *stdlog.Logger { return stdlog.New(servers{log}, "", 0) }

type servers struct{ log *zap.Logger }

func (s servers) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	if strings.Contains(text, "panic serving") {
		s.log.Error(text)
	} else {
		s.log.Debug(text)
	}
	return len(line), nil
}
