package eventlog

import "errors"

// Errors of a Log, for errors.Is.
var (
	// ErrNotYet: the record has not been appended.
	ErrNotYet = errors.New("the log has no such record yet")
	// ErrGone: the record has been trimmed, or dropped for MaxBytes or MaxAge.
	ErrGone = errors.New("the log doesn't have the record any more")
	// ErrCorrupt: the record can't be read; the disk has damaged it.
	ErrCorrupt = errors.New("the record is damaged")
	// ErrTooLarge: the records exceed Config.MaxRecord or a segment.
	ErrTooLarge = errors.New("too large for the log")
	// ErrFull: there is no space on the disk, or in the user's quota. Append works again when there is.
	ErrFull = errors.New("no space for the log")
	// ErrLocked: another process has opened the log.
	ErrLocked = errors.New("the log is in use")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the log is closed")
)
