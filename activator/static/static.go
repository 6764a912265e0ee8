package static

import (
	"context"

	"github.com/sluice-proxy/sluice/activator"
)

// Revision is a revision with its pods and activators.
type Revision struct {
	activator.Revision
	Endpoints activator.Endpoints
	Peers     []string // IPs of the revision's activators; empty: only this one
}

// Source publishes revisions that never change.
type Source struct {
	revisions []Revision
	synced    chan struct{}
}

// New makes a Source, whose Run may be called once.
func New(revisions ...Revision) *Source {
	return &Source{revisions: revisions, synced: make(chan struct{})}
}

// Run implements [activator.Source].
func (s *Source) Run(ctx context.Context, sink activator.Sink) error {
	publish(sink, nil, index(s.revisions))
	close(s.synced)
	<-ctx.Done()
	return nil
}

// Synced implements [activator.SyncedSource].
func (s *Source) Synced() <-chan struct{} { return s.synced }
