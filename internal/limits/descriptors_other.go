//go:build !unix

package limits

import "math"

// Descriptors is how many this process may have open: no limit is known here.
func Descriptors() int64 { return math.MaxInt64 }
