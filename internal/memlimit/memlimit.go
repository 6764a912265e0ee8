// Package memlimit finds out how much memory a process may use, from which the limits of what it holds for its clients
// are derived.
//
//	cgroup and its parents (memory.max, memory.limit_in_bytes) ─┐
//	GOMEMLIMIT ─────────────────────────────────────────────────┼─► the least of them
//	without a limit: the machine's memory, Most at most ────────┘
package memlimit

import (
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/cgroup"
)

// Most bounds the memory of a process without a limit, since other processes share the machine.
const Most = 1 << 30

// Bytes returns how much memory this process may use at the moment. It blocks only on reading some files.
func Bytes() int64 { return limit(cgroup.File, debug.SetMemoryLimit(-1)) }

func limit(file func(name string) string, goLimit int64) int64 {
	n := min(goLimit, ofGroups(file))
	if n == math.MaxInt64 {
		return min(ofMachine(file), Most)
	}
	return n
}

// ofGroups returns the least limit of the process's control groups, of version 2
// (Documentation/admin-guide/cgroup-v2.rst) and of version 1 (Documentation/admin-guide/cgroup-v1/memory.rst).
func ofGroups(file func(name string) string) int64 {
	least := int64(math.MaxInt64)
	for _, dir := range cgroup.Dirs(file, "memory") {
		least = min(least, number(file(path.Join(dir, "memory.max"))), number(file(path.Join(dir, "memory.limit_in_bytes"))))
	}
	return least
}

// unlimited is above all real limits: version 1 reports no limit as the largest number of whole pages.
const unlimited = 1 << 60

// number returns math.MaxInt64 if text is not a limit.
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64) // "max" means no limit
	if err != nil || n <= 0 || n >= unlimited {
		return math.MaxInt64
	}
	return n
}

// ofMachine returns the machine's memory (proc_meminfo(5)).
func ofMachine(file func(name string) string) int64 {
	_, rest, _ := strings.Cut("\n"+file("/proc/meminfo"), "\nMemTotal:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
	if err != nil || kib <= 0 || kib > unlimited>>10 {
		return Most
	}
	return kib << 10
}
