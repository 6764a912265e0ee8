package logging

import (
	stdlog "log"
	"strings"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/logpace"
)

// Standard has what the standard library's logger is told written to log, until undo. That logger, and no other, is told by
// net/http's client what an upstream does wrong, such as a body in its answer to HEAD, which an app may do with each
// answer: so there is one line in ten seconds at most. It is for main, since a process has one such logger; undo doesn't block.
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

// Write logs one line, without what was received: that may be somebody's data.
func (s *standard) Write(line []byte) (int, error) {
	if more, due := s.pace.Due(); due {
		text, _, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " starting with ")
		s.log.Info(text, zap.Int("suppressed", more))
	}
	return len(line), nil
}

// Servers is a logger for servers of net/http. What they say is mostly of clients that break off, for which there is no
// reason to wake anybody; a panic that they have caught is another matter.
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
