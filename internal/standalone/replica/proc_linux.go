package replica

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// becomeSubreaper makes orphaned descendants of this process its children.
func becomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("child subreaper: %w", err)
	}
	return nil
}

// proc is a process in /proc/PID/stat.
type proc struct {
	pid, parent int
	zombie      bool
}

// processes lists the processes of the machine.
func processes() []proc {
	names, _ := filepath.Glob("/proc/[0-9]*")
	all := make([]proc, 0, len(names))
	for _, name := range names {
		if p, ok := readStat(name); ok {
			all = append(all, p)
		}
	}
	return all
}

func readStat(dir string) (p proc, ok bool) {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, false // ended meanwhile
	}
	// The name of the executable is in parentheses, and may contain some: proc_pid_stat(5).
	i := bytes.LastIndexByte(stat, ')')
	rest := strings.Fields(string(stat[i+1:]))
	if i < 0 || len(rest) < 2 {
		return p, false
	}
	p.pid, _ = strconv.Atoi(filepath.Base(dir))
	p.parent, _ = strconv.Atoi(rest[1])
	p.zombie = rest[0] == "Z" || rest[0] == "X"
	return p, true
}

// descendants returns those of the supervisor, without except and its descendants.
func (s *supervisor) descendants(all []proc, except ...*child) []proc {
	below := map[int]bool{os.Getpid(): true}
	var found []proc
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if below[p.parent] && !below[p.pid] && !isOneOf(p.pid, except) {
				below[p.pid], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found
}

func isOneOf(pid int, children []*child) bool {
	return slices.ContainsFunc(children, func(c *child) bool { return c != nil && c.pid() == pid })
}

// reap waits for orphans that have ended, but not for children that the supervisor has started. It runs on the goroutine
// that starts those, so that it knows all of them.
func (s *supervisor) reap() {
	for _, p := range processes() {
		if p.zombie && p.parent == os.Getpid() && !isOneOf(p.pid, s.children()) {
			wait(p.pid)
		}
	}
}

// wait waits for a child that has ended.
func wait(pid int) {
	var status syscall.WaitStatus
	_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
}

// clear kills the remaining processes of a container that has ended, and waits for their end.
func (s *supervisor) clear() {
	for range clearTries {
		left := 0
		for _, p := range s.descendants(processes(), s.children()...) {
			left++
			if !p.zombie {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
			if p.parent == os.Getpid() {
				wait(p.pid)
			}
		}
		if left == 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// listeningPorts returns the ports on which the app and its descendants listen, and the app's own if any process does;
// known is false if that can't be determined.
func (s *supervisor) listeningPorts() (ports []int, known bool) {
	sockets := map[string]bool{}
	for _, p := range s.descendants(processes(), append(s.sides.children(), s.proxy)...) {
		fds, _ := filepath.Glob("/proc/" + strconv.Itoa(p.pid) + "/fd/*")
		for _, fd := range fds {
			target, _ := os.Readlink(fd)
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				sockets[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, _ := os.ReadFile(table)
		for _, l := range listeners(string(data)) {
			if (sockets[l.inode] || l.port == s.spec.Port) && !slices.Contains(ports, l.port) {
				ports = append(ports, l.port)
			}
		}
	}
	slices.Sort(ports)
	return ports, true
}

// ListensIn reports whether a process listens on a port in the network namespace of process pid.
func ListensIn(pid, port int) bool {
	for _, table := range []string{"tcp", "tcp6"} {
		data, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net", table))
		if slices.ContainsFunc(listeners(string(data)), func(l listener) bool { return l.port == port }) {
			return true
		}
	}
	return false
}

type listener struct {
	port  int
	inode string
}

// listeners returns the sockets in state LISTEN (0A) of a table such as /proc/net/tcp: proc_pid_net(5).
func listeners(table string) []listener {
	var all []listener
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "0A" {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
			all = append(all, listener{int(port), f[9]})
		}
	}
	return all
}
