// Package rejected tells of connections that a proxy.Engine has ended because what came on them is no request.
//
//	Engine ──OnRefused──► Reporter ──► sluice_refused_connections_total, each
//	                        └──────► a line of the log, now and then
//
// Whoever can reach a port can have as many refused as they like, so that there is a line every ten seconds at most. It
// holds who sent it and what was wrong, and nothing of what was sent.
//
// # Concurrency
//
// A Reporter is safe for concurrent use. It blocks as long as the log does, on the goroutine of one connection.
package rejected

import (
	"strings"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/logpace"
	"github.com/sluice-proxy/sluice/proxy"
)

// Counter counts by reason, of which there are few. It must not block.
type Counter interface{ Count(reason string) }

// Reporter tells a log and a counter. Make one with New.
type Reporter struct {
	log   *zap.Logger
	count Counter // nil: there is none
	pace  logpace.Pace
}

// New makes a Reporter. A nil counter counts nothing.
func New(log *zap.Logger, c Counter) *Reporter { return &Reporter{log: log, count: c} }

// Report is for proxy.ServerConfig.OnRefused.
func (t *Reporter) Report(remote string, err *proxy.Error) {
	if t.count != nil {
		reason, _, _ := strings.Cut(err.Error(), " (RFC") // the log has the section too
		t.count.Count(reason)
	}
	if more, due := t.pace.Due(); due {
		t.log.Info("a connection is refused: no request came on it",
			zap.String("client", remote), zap.String("reason", err.Error()), zap.Int("suppressed", more))
	}
}
