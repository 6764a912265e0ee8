//go:build !unix

package limits

import "math"

// Descriptors returns how many this process may have open; on this system no limit is known.
func Descriptors() int64 { return math.MaxInt64 }
