package throttler

import (
	"errors"
	"fmt"
)

// Errors of [Breaker.Acquire], [Throttler.Acquire] and [Throttler.TryAcquire], to be told apart with errors.Is.
var (
	// ErrQueueFull says that as many requests wait as may.
	ErrQueueFull = errors.New("pending request queue full")
	// ErrOverloaded says that of what may wait over all revisions, in requests or in bytes, nothing is left that this revision
	// or this client may have. It is an ErrQueueFull.
	ErrOverloaded = fmt.Errorf("too much is waiting over all revisions, or for this client: %w", ErrQueueFull)
	// ErrUnknownRevision says that no SetRevision has been seen for the revision.
	ErrUnknownRevision = errors.New("unknown revision")
	// ErrRevisionGone says that the revision was deleted while the request waited.
	ErrRevisionGone = errors.New("revision deleted")
)
