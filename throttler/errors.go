package throttler

import (
	"errors"
	"fmt"
)

// Errors of [Breaker.Acquire], [Throttler.Acquire] and [Throttler.TryAcquire], for errors.Is.
var (
	// ErrQueueFull says that as many requests wait as may wait.
	ErrQueueFull = errors.New("pending request queue full")
	// ErrOverloaded says that too much waits over all revisions, in requests or in bytes, for one more of this revision or this
	// client (Config.MaxWaiting). It is an ErrQueueFull.
	ErrOverloaded = fmt.Errorf("too much is waiting over all revisions, or for this client: %w", ErrQueueFull)
	// ErrUnknownRevision says that SetRevision has not been called for the revision.
	ErrUnknownRevision = errors.New("unknown revision")
	// ErrRevisionGone says that the revision was deleted while the request waited.
	ErrRevisionGone = errors.New("revision deleted")
)
