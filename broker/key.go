package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
)

// longestKey is how long a key may be in memory and in a header.
const longestKey = 128

// shortKey returns a key, or what stands for one that is long.
func shortKey(key string) string {
	if len(key) <= longestKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// headerKey returns a key for the field Sluice-Key, percent-encoded (RFC 3986 §2.1).
func headerKey(key string) string { return url.PathEscape(key) }
