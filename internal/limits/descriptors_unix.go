//go:build unix

package limits

import (
	"math"
	"syscall"
)

// Descriptors is how many this process may have open (getrlimit(2)); Go has raised that to the most that is allowed.
func Descriptors() int64 {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return math.MaxInt64
	}
	return int64(min(uint64(r.Cur), math.MaxInt64))
}
