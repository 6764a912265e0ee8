package standalone

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
)

const (
	watchPeriod = 500 * time.Millisecond
	// settle is how long contents must last: a file that is being written is not yet what it will be.
	settle = 20 * time.Millisecond
)

// fingerprint changes when any file that paths stand for does, comes, goes, or can't be read.
func fingerprint(paths []string) [sha256.Size]byte {
	h := sha256.New()
	files, err := manifest.Files(paths)
	if err != nil {
		h.Write([]byte(err.Error()))
	}
	for _, f := range files {
		h.Write([]byte("\x00" + f + "\x00"))
		data, err := manifest.Read(f)
		if err != nil {
			data = []byte(err.Error())
		}
		h.Write(data)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// watch calls changed whenever the fingerprint of paths is another than seen, until ctx ends. Manifests are few and small:
// reading them works alike on every system, for files written in place or renamed over, and for symbolic links.
func watch(ctx context.Context, paths []string, seen [sha256.Size]byte, changed func()) {
	t := time.NewTicker(watchPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := fingerprint(paths)
		for now != seen {
			select {
			case <-ctx.Done():
				return
			case <-time.After(settle):
			}
			again := fingerprint(paths)
			if again == now {
				seen = now
				changed()
				break
			}
			now = again
		}
	}
}
