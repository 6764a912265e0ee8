package throttler

import (
	"errors"
	"fmt"
)

// Errors of [Breaker.Acquire], [Throttler.Acquire] and [Throttler.TryAcquire], to be told apart with errors.Is.
var (
	// ErrQueueFull says that as many requests wait as may.
	ErrQueueFull = errors.New("pending request queue full")
	// ErrOverloaded says that the bound over all revisions was met, in requests or in bytes. It is an ErrQueueFull.
	ErrOverloaded = fmt.Errorf("too much is waiting over all revisions: %w", ErrQueueFull)
	// ErrUnknownRevision says that no SetRevision has been seen for the revision.
	ErrUnknownRevision = errors.New("unknown revision")
	// ErrRevisionGone says that the revision was deleted while the request waited.
	ErrRevisionGone = errors.New("revision deleted")
)
