// Package outputs has what tests collect output in.
package outputs

import (
	"bytes"
	"sync"
)

// Buffer collects what a process, or anything else that runs beside a test, writes. It is safe for concurrent use, and the zero
// value is empty.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what has been written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
