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

// File publishes the revisions in a file, and their changes. While the file can't be read or has errors, the revisions read
// before stay published, and the error is logged.
type File struct {
	// Period is the time between two checks of the file for changes. 0 means 500 ms.
	Period time.Duration

	path   string
	log    *zap.Logger
	synced chan struct{}
}

// Open makes a File of the file at path. It fails if path is not a regular file, can't be read, or has errors. log may be nil.
func Open(path string, log *zap.Logger) (*File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // a pipe could be read only once
		return nil, fmt.Errorf("%s: not a regular file", path)
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
	var published map[throttler.RevisionID]Revision
	filewatch.Watch(ctx, f.path, f.Period, func(data []byte, err error) {
		var all []Revision
		if err == nil {
			all, err = Parse(f.path, data)
		}
		if err != nil {
			f.log.Error("the file can't be used; the revisions read before stay in effect", zap.Error(err))
			return
		}
		now := index(all)
		publish(sink, published, now)
		if published == nil {
			close(f.synced)
		} else {
			f.log.Info("revisions read again", zap.String("file", f.path), zap.Int("revisions", len(now)))
		}
		published = now
	})
	return nil
}

// Synced implements [activator.SyncedSource].
func (f *File) Synced() <-chan struct{} { return f.synced }
