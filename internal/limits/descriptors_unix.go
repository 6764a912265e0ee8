//go:build unix

package limits

import (
	"math"
	"syscall"
)

// Descriptors returns how many this process may have open (getrlimit(2)). Go raises the soft limit to the hard limit.
func Descriptors() int64 {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return math.MaxInt64
	}
	return int64(min(uint64(r.Cur), math.MaxInt64))
}
