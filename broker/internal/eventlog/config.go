package eventlog

import (
	"fmt"
	"time"
)

const (
	// minSegment leaves room for a header and for some frames.
	minSegment = 4 << 10
	// maxSegment lets positions and lengths of frames fit into 32 bits.
	maxSegment = 1 << 30
	// maxGroup bounds what is collected for one write. More callers wait for the next one.
	maxGroup = 4 << 20
)

// Config says how large a log and its parts may be.
type Config struct {
	// SegmentBytes is how large a segment gets. By default, 64 MiB, or an eighth of MaxBytes if that is less.
	SegmentBytes int64
	// MaxBytes bounds the log. The oldest segments are deleted when it is exceeded, also if they are still needed. 0: no bound.
	MaxBytes int64
	// MaxAge is how long records are kept, within an eighth of it. 0: until they are trimmed.
	MaxAge time.Duration
	// MaxRecord bounds a record. By default, 1 MiB and 64 KiB, or half of a segment if that is less. What one Append appends has
	// to fit into a segment.
	MaxRecord int
}

// withDefaults returns the Config with its defaults filled in.
func (c Config) withDefaults() (Config, error) {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 64 << 20
		if c.MaxBytes > 0 {
			c.SegmentBytes = max(min(c.SegmentBytes, c.MaxBytes/8), minSegment)
		}
	}
	if c.MaxRecord == 0 {
		c.MaxRecord = int(min(1<<20+64<<10, c.SegmentBytes/2))
	}
	switch room := c.SegmentBytes - dataStart - frameLength([][]byte{nil}); {
	case c.SegmentBytes < minSegment || c.SegmentBytes > maxSegment:
		return c, fmt.Errorf("a segment of the log should have %d to %d bytes, not %d", minSegment, maxSegment, c.SegmentBytes)
	case c.MaxBytes < 0 || c.MaxBytes > 0 && c.MaxBytes < 2*c.SegmentBytes:
		return c, fmt.Errorf("the log may have %d bytes: it needs room for two segments of %d bytes", c.MaxBytes, c.SegmentBytes)
	case c.MaxAge < 0:
		return c, fmt.Errorf("records of the log are kept for %v: it should not be negative", c.MaxAge)
	case c.MaxRecord < 0 || int64(c.MaxRecord) > room:
		return c, fmt.Errorf("a record of the log may have %d bytes: a segment has room for %d", c.MaxRecord, room)
	}
	return c, nil
}
