// Package refused tells of connections that a proxy.Engine has ended because what came on them is no request.
//
//	Engine ──OnRefused──► Teller ──► sluice_refused_connections_total, each
//	                        └──────► a line of the log, now and then
//
// Whoever can reach a port can have as many refused as they like, so that there is a line every ten seconds at most. It
// holds who sent it and what was wrong, and nothing of what was sent.
//
// # Concurrency
//
// A Teller is safe for concurrent use. It blocks as long as the log does, on the goroutine of one connection.
package refused

import (
	"strings"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/logpace"
	"github.com/sluice-proxy/sluice/proxy"
)

// Counter counts by reason, of which there are few. It must not block.
type Counter interface{ Count(reason string) }

// Teller tells a log and a counter. Make one with New.
type Teller struct {
	log   *zap.Logger
	count Counter // nil: there is none
	pace  logpace.Pace
}

// New makes a Teller. A nil counter counts nothing.
func New(log *zap.Logger, c Counter) *Teller { return &Teller{log: log, count: c} }

// Tell is for proxy.ServerConfig.OnRefused.
func (t *Teller) Tell(remote string, err *proxy.Error) {
	if t.count != nil {
		reason, _, _ := strings.Cut(err.Error(), " (RFC") // the log has the section too
		t.count.Count(reason)
	}
	if more, due := t.pace.Due(); due {
		t.log.Info("a connection is refused: no request came on it",
			zap.String("client", remote), zap.String("reason", err.Error()), zap.Int("suppressed", more))
	}
}
