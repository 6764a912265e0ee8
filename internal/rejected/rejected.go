// Package rejected tells of connections that a proxy.Engine has ended because what came on them is no request.
//
//	Engine ──OnRejected──► Reporter ──► sluice_refused_connections_total, each
//	                          └──────► a line of the log, now and then
//
// Whoever can reach a port can have as many rejected as they like, so that there is a line every ten seconds at most. It
// holds who sent it and what was wrong, and nothing of what was sent.
//
// # Concurrency
//
// A Reporter is safe for concurrent use. It blocks as long as the log does, on the goroutine of one connection.
package rejected

import (
	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/logpace"
	"github.com/sluice-proxy/sluice/proxy"
)

// Reporter tells a log and a counter. Make one with New.
type Reporter struct {
	log   *zap.Logger
	count func(proxy.Rejection) // nil: there is none
	pace  logpace.Pace
}

// New makes a Reporter. count must not block; nil counts nothing.
func New(log *zap.Logger, count func(proxy.Rejection)) *Reporter {
	return &Reporter{log: log, count: count}
}

// Report is for proxy.ServerConfig.OnRejected.
func (t *Reporter) Report(remote string, err *proxy.Error) {
	if t.count != nil {
		t.count(proxy.RejectionOf(err))
	}
	if more, due := t.pace.Due(); due {
		t.log.Info("a connection is refused: no request came on it",
			zap.String("client", remote), zap.String("reason", err.Error()), zap.Int("suppressed", more))
	}
}
