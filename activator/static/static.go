package static

import (
	"context"

	"github.com/sluice-proxy/sluice/activator"
)

// Revision is a revision and who is in its path.
type Revision struct {
	activator.Revision
	Endpoints activator.Endpoints
	Peers     []string // IPs of the activators; empty: this one alone
}

// Source tells a sink of revisions that never change.
type Source struct{ Revisions []Revision }

// Run implements [activator.Source].
func (s Source) Run(ctx context.Context, sink activator.Sink) error {
	tell(sink, nil, index(s.Revisions))
	<-ctx.Done()
	return nil
}
