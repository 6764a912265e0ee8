package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// process is a process whose executable is in a test's directory.
type process struct {
	pid     int
	exe     string // its base name
	cmdline string
}

func (p process) String() string { return fmt.Sprintf("%d (%s)", p.pid, p.cmdline) }

// needProc skips the test on systems without /proc.
func needProc(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
}

// processes finds the running processes of the test's executables, whatever their parents, groups and sessions.
func (q *quickstart) processes() []process { return processesIn(q.dir) }

func processesIn(dir string) []process {
	entries, _ := os.ReadDir("/proc")
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err != nil || !strings.HasPrefix(exe, dir+"/") {
			continue // it has ended, or belongs to another user
		}
		cmdline, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		all = append(all, process{pid, filepath.Base(exe), strings.ReplaceAll(string(cmdline), "\x00", " ")})
	}
	return all
}

// note is the file that an app writes to its APP_DIR.
type note struct {
	PID      int
	Addr     string
	ListenAt int64
	Revision string
	Fork     string
}

// notes returns the notes of all apps that ever started.
func (q *quickstart) notes() []note {
	names, _ := filepath.Glob(filepath.Join(q.dir, "*.json"))
	var all []note
	for _, name := range names {
		var n note
		if b, err := os.ReadFile(name); err == nil && json.Unmarshal(b, &n) == nil {
			all = append(all, n)
		}
	}
	return all
}

// apps returns the notes of the apps that run.
func (q *quickstart) apps() []note {
	var running []note
	for _, n := range q.notes() {
		if alive(n.PID) {
			running = append(running, n)
		}
	}
	return running
}

// alive reports whether pid runs; a zombie doesn't.
func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux"
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}

// parent returns the parent of a process.
func parent(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	if words := strings.Fields(rest); len(words) > 1 {
		return atoi(words[1])
	}
	return 0
}

// anonymous is the process's own resident memory in bytes, without the pages of its program, which the system may drop.
func anonymous(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// connectedTo reports whether a TCP connection to a port of 127.0.0.1 is established.
func connectedTo(addr string) bool {
	_, port, _ := strings.Cut(addr, ":")
	n, _ := strconv.Atoi(port)
	b, _ := os.ReadFile("/proc/net/tcp")
	const established = " 01 "
	return strings.Contains(string(b), fmt.Sprintf(" 0100007F:%04X%s", n, established))
}
