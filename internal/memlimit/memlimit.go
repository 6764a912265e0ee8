// Package memlimit finds out how much memory a process may use, so that what it holds for its clients can be bounded by
// that.
//
//	cgroup (memory.max, memory.limit_in_bytes) and those above it ─┐
//	GOMEMLIMIT ────────────────────────────────────────────────────┼─► the least of them
//	the machine's memory, where there is no limit: Most at most ───┘
package memlimit

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// Most is what a process without a limit is taken to have, where the machine has more: it isn't alone there.
const Most = 1 << 30

// Bytes is the memory that this process may use. What changes of the limits later is not followed. It reads some files
// and blocks for nothing else.
func Bytes() int64 { return limit(os.DirFS("/"), debug.SetMemoryLimit(-1)) }

func limit(root fs.FS, goLimit int64) int64 {
	n := min(goLimit, ofGroups(root))
	if n == math.MaxInt64 {
		return min(ofMachine(root), Most)
	}
	return n
}

// ofGroups is the least limit of the process's control groups (cgroups(7)). In a container the mount often begins at the
// process's own group, whatever the path says: so those that aren't there are passed over.
func ofGroups(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); { // hierarchy:controllers:path
		part := strings.SplitN(s.Text(), ":", 3)
		if len(part) < 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if part[0] != "0" {
			if part[1] != "memory" {
				continue
			}
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for dir := path.Clean("/" + part[2]); ; dir = path.Dir(dir) {
			least = min(least, number(root, path.Join(mount, dir, file)))
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// unlimited is above all limits that are meant: of version 1 none is the largest number of whole pages.
const unlimited = 1 << 60

// number is that of a file; none is a very large one.
func number(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is none
	if err != nil || n <= 0 || n >= unlimited {
		return math.MaxInt64
	}
	return n
}

// ofMachine is the machine's memory (proc_meminfo(5)).
func ofMachine(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return Most
	}
	_, rest, _ := strings.Cut("\n"+string(text), "\nMemTotal:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
	if err != nil || kib <= 0 || kib > unlimited>>10 {
		return Most
	}
	return kib << 10
}
