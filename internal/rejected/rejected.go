// Package rejected reports connections that a proxy.Engine has closed because they carried no valid request.
//
//	Engine ──OnRejected──► Reporter ──► sluice_refused_connections_total, each
//	                          └──────► a line of the log, now and then
//
// Since any client can cause any number of rejected connections, the log gets one line in ten seconds at most. It has the
// client's address and the reason, and no bytes that the client sent.
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

// Reporter reports rejected connections to a log and a counter. Make one with New.
type Reporter struct {
	log   *zap.Logger
	count func(proxy.Rejection) // may be nil
	pace  logpace.Pace
}

// New makes a Reporter. count must not block; nil counts nothing.
func New(log *zap.Logger, count func(proxy.Rejection)) *Reporter {
	return &Reporter{log: log, count: count}
}

// Report is a proxy.ServerConfig.OnRejected.
func (t *Reporter) Report(remote string, err *proxy.Error) {
	if t.count != nil {
		t.count(proxy.RejectionOf(err))
	}
	if more, due := t.pace.Due(); due {
		t.log.Info("connection rejected: it carried no valid request",
			zap.String("client", remote), zap.String("reason", err.Error()), zap.Int("suppressed", more))
	}
}
