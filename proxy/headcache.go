package proxy

import (
	"hash/maphash"
	"sync/atomic"
)

// headCache makes strings of heads. A head is so often the same as one before, byte for byte, be it on another
// connection, that some are kept; the last of those that fall into one place.
type headCache struct {
	seed maphash.Seed
	kept [headPlaces]atomic.Pointer[string]
}

const (
	headPlaces = 1 << 9
	// maxKept bounds the heads that are kept, and so the whole to half a mebibyte.
	maxKept = 1 << 10
)

// text is b as a string that stays.
func (h *headCache) text(b []byte) string {
	if len(b) > maxKept {
		return string(b)
	}
	place := &h.kept[maphash.Bytes(h.seed, b)%headPlaces]
	if s := place.Load(); s != nil && *s == string(b) {
		return *s
	}
	s := string(b)
	place.Store(&s)
	return s
}
