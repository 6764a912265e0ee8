package static

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/filewatch"
	"github.com/sluice-proxy/sluice/throttler"
	"go.uber.org/zap"
)

// File tells a sink of the revisions in a file, and of what changes in it. While the file can't be read or is wrong,
// what it said before stands, and a line in the log says why.
type File struct {
	// Period is how often the file is looked at. 0: 500 ms.
	Period time.Duration

	path   string
	log    *zap.Logger
	synced chan struct{}
}

// Open makes a File of the file at path, and fails when that can't be read now, or not again, or is wrong. Log may be
// nil.
func Open(path string, log *zap.Logger) (*File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // a pipe gives what it holds only once
		return nil, fmt.Errorf("%s: should be a file", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if _, err := Parse(path, data); err != nil {
		return nil, err
	}
	if log == nil {
		log = zap.NewNop()
	}
	return &File{path: path, log: log, synced: make(chan struct{})}, nil
}

// Run implements [activator.Source]. It may be called once.
func (f *File) Run(ctx context.Context, sink activator.Sink) error {
	var told map[throttler.RevisionID]Revision
	filewatch.Watch(ctx, f.path, f.Period, func(data []byte, err error) {
		var all []Revision
		if err == nil {
			all, err = Parse(f.path, data)
		}
		if err != nil {
			f.log.Error("revisions stay as they were", zap.Error(err))
			return
		}
		now := index(all)
		tell(sink, told, now)
		if told == nil {
			close(f.synced)
		} else {
			f.log.Info("revisions read again", zap.String("file", f.path), zap.Int("revisions", len(now)))
		}
		told = now
	})
	return nil
}

// Synced implements [activator.SyncedSource].
func (f *File) Synced() <-chan struct{} { return f.synced }
