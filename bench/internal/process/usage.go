package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is the CPU time and memory of a process group so far.
type Usage struct {
	CPU      time.Duration // user and system, of the processes that run
	Resident int64         // bytes: the sum of VmRSS, in which shared pages count for each process
}

// tick is the unit of CPU times in /proc: USER_HZ is 100 on every architecture that Go runs on (proc(5), sysconf(3)).
const tick = 10 * time.Millisecond

// Usage reads the usage of p's processes. It fails if none is left.
func (p *Process) Usage() (Usage, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return Usage{}, err
	}
	var u Usage
	found := false
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		group, cpu, err := parseStat(text)
		if err != nil {
			return Usage{}, fmt.Errorf("%s: %w", file, err)
		}
		if group != p.group {
			continue
		}
		found = true
		u.CPU += cpu
		if text, err = os.ReadFile(filepath.Join(filepath.Dir(file), "status")); err == nil {
			u.Resident += parseResident(text)
		}
	}
	if !found {
		return Usage{}, fmt.Errorf("%s has ended%s", p.name, p.tail())
	}
	return u, nil
}

var errStat = errors.New("the format is not that of proc(5)")

// parseStat parses group and CPU time of a /proc/PID/stat. The name, in parentheses, may contain any character.
func parseStat(text []byte) (group int, cpu time.Duration, err error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return 0, 0, errStat
	}
	fields := strings.Fields(string(text[end+1:])) // from the third of proc(5) on
	if len(fields) < 13 {
		return 0, 0, errStat
	}
	group, err1 := strconv.Atoi(fields[5-3])
	user, err2 := strconv.ParseUint(fields[14-3], 10, 38) // 87 years
	system, err3 := strconv.ParseUint(fields[15-3], 10, 38)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, 0, err
	}
	return group, time.Duration(user+system) * tick, nil
}

// parseResident parses VmRSS of a /proc/PID/status, in bytes; it is 0 for a process that has ended.
func parseResident(text []byte) int64 {
	_, rest, ok := strings.Cut(string(text), "\nVmRSS:")
	if !ok {
		return 0
	}
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[1] != "kB" {
		return 0
	}
	n, err := strconv.ParseUint(fields[0], 10, 48)
	if err != nil {
		return 0
	}
	return int64(n) << 10
}
