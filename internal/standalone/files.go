package standalone

import (
	"fmt"
	"math"
	"syscall"
)

// leastFiles is the usual soft limit. A waiting client takes one open file, a request in flight two, a replica five.
const leastFiles = 1024

// openFiles returns how many files this process may open. Go raises the soft limit to the hard limit.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint64 // not known
	}
	return uint64(limit.Cur)
}

// fewFiles returns a warning if a few hundred clients could use all files, so that no replica could start; else "".
func fewFiles(limit uint64) string {
	if limit >= leastFiles {
		return ""
	}
	return fmt.Sprintf("only %d files may be open at a time: raise the limit (ulimit -n) to serve many clients", limit)
}
