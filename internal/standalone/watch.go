package standalone

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
)

const (
	watchPeriod = 500 * time.Millisecond
	// settle is how long contents must last to be applied: a file may be in the middle of being written.
	settle = 20 * time.Millisecond
)

// fingerprint changes when a file of in changes, is added, is removed, or can't be read.
func fingerprint(in manifest.Input) [sha256.Size]byte {
	h := sha256.New()
	files, left, err := in.Read()
	if err != nil {
		h.Write([]byte(err.Error()))
	}
	for _, f := range files {
		fmt.Fprintf(h, "%q%d\x00", f.Name, len(f.Data))
		h.Write(f.Data)
	}
	fmt.Fprintf(h, "%q", left)
	return [sha256.Size]byte(h.Sum(nil))
}

// watch calls changed whenever the fingerprint of in differs from seen, until ctx ends. Manifests are few and small, and
// reading them works on every system, for files written in place or replaced by a rename, and for symbolic links.
func watch(ctx context.Context, in manifest.Input, seen [sha256.Size]byte, changed func()) {
	t := time.NewTicker(watchPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := fingerprint(in)
		for now != seen {
			select {
			case <-ctx.Done():
				return
			case <-time.After(settle):
			}
			again := fingerprint(in)
			if again == now {
				seen = now
				changed()
				break
			}
			now = again
		}
	}
}
