package standalone

import (
	"fmt"
	"math"
	"syscall"
)

// leastFiles is what a machine usually allows at least. Each client that waits takes one open file, each request in
// flight two, each replica five.
const leastFiles = 1024

// openFiles is how many files this process may open. Go has raised it to what the process may raise it to.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint64 // not known
	}
	return uint64(limit.Cur)
}

// fewFiles warns of a limit with which a few hundred clients would keep replicas from starting, or is empty.
func fewFiles(limit uint64) string {
	if limit >= leastFiles {
		return ""
	}
	return fmt.Sprintf("only %d files may be open at a time: raise the limit (ulimit -n) to serve many clients", limit)
}
