// Package memlimit finds out how much memory a process may use, so that what it holds for its clients can be bounded by
// that.
//
//	cgroup (memory.max, memory.limit_in_bytes) and those above it ─┐
//	GOMEMLIMIT ────────────────────────────────────────────────────┼─► the least of them
//	the machine's memory, where there is no limit: Most at most ───┘
package memlimit

import (
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/cgroup"
)

// Most is what a process without a limit is taken to have, where the machine has more: it isn't alone there.
const Most = 1 << 30

// Bytes is the memory that this process may use. What changes of the limits later is not followed. It reads some files
// and blocks for nothing else.
func Bytes() int64 { return limit(cgroup.File, debug.SetMemoryLimit(-1)) }

func limit(file func(name string) string, goLimit int64) int64 {
	n := min(goLimit, ofGroups(file))
	if n == math.MaxInt64 {
		return min(ofMachine(file), Most)
	}
	return n
}

// ofGroups is the least limit of the process's control groups: of version 2 (Documentation/admin-guide/cgroup-v2.rst) and of
// version 1 (Documentation/admin-guide/cgroup-v1/memory.rst).
func ofGroups(file func(name string) string) int64 {
	least := int64(math.MaxInt64)
	for _, dir := range cgroup.Dirs(file, "memory") {
		least = min(least, number(file(path.Join(dir, "memory.max"))), number(file(path.Join(dir, "memory.limit_in_bytes"))))
	}
	return least
}

// unlimited is above all limits that are meant: of version 1 none is the largest number of whole pages.
const unlimited = 1 << 60

// number is a very large one where there is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64) // "max" is none
	if err != nil || n <= 0 || n >= unlimited {
		return math.MaxInt64
	}
	return n
}

// ofMachine is the machine's memory (proc_meminfo(5)).
func ofMachine(file func(name string) string) int64 {
	_, rest, _ := strings.Cut("\n"+file("/proc/meminfo"), "\nMemTotal:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
	if err != nil || kib <= 0 || kib > unlimited>>10 {
		return Most
	}
	return kib << 10
}
