// Package filewatch reports changes of a file's content.
//
//	file ──read every period──► differs from the last report? ──► same when read again? ──► report
//
// It reads the file instead of subscribing to events: a configuration file is small, and reading works on every system,
// for files that are written in place, replaced by a rename, or behind the symbolic links of a Kubernetes volume.
//
// # Concurrency
//
// [Watch] runs on its caller's goroutine and starts none.
package filewatch

import (
	"bytes"
	"context"
	"os"
	"time"
)

// DefaultPeriod is how often a file is read by default.
const DefaultPeriod = 500 * time.Millisecond

// settle is how long new content must last to be reported: the file may be in the middle of being written.
const settle = 10 * time.Millisecond

// Watch calls changed with the content of the file at path, at first and whenever it has changed, until ctx is cancelled.
// It reads the file every period; zero is DefaultPeriod. If the file can't be read, it calls changed with nil and the
// error, once for each text of the error.
func Watch(ctx context.Context, path string, period time.Duration, changed func(data []byte, err error)) {
	if period <= 0 {
		period = DefaultPeriod
	}
	var reported *content
	for pause := time.Duration(0); ; pause = period {
		if !sleep(ctx, pause) {
			return
		}
		now := read(path)
		if reported.same(now) {
			continue
		}
		if reported != nil {
			if !sleep(ctx, settle) {
				return
			}
			if !now.same(read(path)) {
				continue
			}
		}
		reported = now
		changed(now.data, now.err)
	}
}

type content struct {
	data []byte
	err  error
}

func read(path string) *content {
	data, err := os.ReadFile(path)
	if err != nil {
		data = nil
	}
	return &content{data, err}
}

func (c *content) same(d *content) bool {
	if c == nil || (c.err == nil) != (d.err == nil) {
		return false
	}
	if c.err != nil {
		return c.err.Error() == d.err.Error()
	}
	return bytes.Equal(c.data, d.data)
}

// sleep returns false if ctx ends before d has passed.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
