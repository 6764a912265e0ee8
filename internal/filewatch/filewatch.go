// Package filewatch tells when the content of a file has changed.
//
//	file ──read every period──► same content twice? ──► changed from what was told last? ──► told
//
// It reads rather than asks the system for events: a file of configuration is small, and reading works the same on
// every system, for a file that is written in place, renamed over, or reached through the symbolic links that a
// Kubernetes volume swaps.
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

// DefaultPeriod is how often a file is read when Config says nothing.
const DefaultPeriod = 500 * time.Millisecond

// settle is how long a content must last to be told: a file that is being written in place is not yet what it will be.
const settle = 10 * time.Millisecond

// Watch calls changed with the content of the file at path, at first and whenever it differs from what was told last,
// until ctx is cancelled. It reads the file every period; zero is DefaultPeriod. A file that can't be read is told as
// the error, once for the same text; data is nil then.
func Watch(ctx context.Context, path string, period time.Duration, changed func(data []byte, err error)) {
	if period <= 0 {
		period = DefaultPeriod
	}
	var told *content
	for pause := time.Duration(0); ; pause = period {
		if !sleep(ctx, pause) {
			return
		}
		now := read(path)
		if told.same(now) {
			continue
		}
		if told != nil {
			if !sleep(ctx, settle) {
				return
			}
			if !now.same(read(path)) {
				continue
			}
		}
		told = now
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

// sleep reports false when ctx ended first.
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
