//go:build !linux

package replica

import (
	"net"
	"strconv"
	"time"
)

// becomeSubreaper has no equivalent: a process that leaves the app's group escapes.
func becomeSubreaper() error { return nil }

// reap has nothing to do: orphans are not children of this process.
func (s *supervisor) reap() {}

// clear has nothing to do: the app's process group has been killed.
func (s *supervisor) clear() {}

// listeningPorts can only check the app's own port.
func (s *supervisor) listeningPorts() (ports []int, known bool) {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(s.spec.Host, strconv.Itoa(s.spec.Port)), 100*time.Millisecond)
	if err != nil {
		return nil, false
	}
	c.Close()
	return []int{s.spec.Port}, false
}

// ListensIn needs Linux.
func ListensIn(pid, port int) bool { return false }
