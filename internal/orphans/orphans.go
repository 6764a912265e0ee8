// Package orphans starts programs that end with the process that started them, even if that is killed: a test binary that is
// killed leaves no server and no browser behind.
//
//	err := orphans.StartFor(t, cmd) // instead of cmd.Start
//
// # How programs are ended
//
// Each program leads its own process group. One shell, the watchdog, reads the list of groups from a pipe whose other end only
// this process holds. When that end closes, the watchdog kills the groups that are left. (Linux' parent death signal reaches
// no grandchildren, such as nginx's workers, and comes when the thread that forked ends.) A program that leaves its group is
// not killed.
package orphans

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// watchdog reads lines like "+ 123" and "- 123", which add and remove a group, and at the end of its input kills those left.
const watchdog = `
groups=
while read -r change group; do
	left=
	for g in $groups; do
		[ "$g" = "$group" ] || left="$left $g"
	done
	groups=$left
	[ "$change" = - ] || groups="$groups $group"
done
for g in $groups; do
	kill -s KILL -- "-$g"
done`

// pipe returns the pipe to the watchdog; the first call starts it.
var pipe = sync.OnceValues(func() (io.Writer, error) {
	r, w, err := os.Pipe() // other programs don't inherit it
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", watchdog)
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that Ctrl-C does not end the watchdog
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("orphans: %w", err)
	}
	return w, nil // it closes when the process ends
})

// Start starts cmd as the leader of a process group, which is killed if this process ends before release has been called.
// Call release after cmd.Wait, since another group may then get the same number. Start is safe for concurrent use.
func Start(cmd *exec.Cmd) (release func(), err error) {
	w, err := pipe()
	if err != nil {
		return nil, err
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	group := cmd.Process.Pid
	if _, err := fmt.Fprintf(w, "+ %d\n", group); err != nil { // in one write, so that concurrent lines don't mix
		_ = syscall.Kill(-group, syscall.SIGKILL)
		_ = cmd.Wait()
		return nil, fmt.Errorf("orphans: %w", err)
	}
	return sync.OnceFunc(func() { _, _ = fmt.Fprintf(w, "- %d\n", group) }), nil
}

// StartFor is Start for a test, and calls release as a cleanup of t. The test must wait for cmd, in a cleanup at the latest.
func StartFor(t interface{ Cleanup(func()) }, cmd *exec.Cmd) error {
	release, err := Start(cmd)
	if err == nil {
		t.Cleanup(release)
	}
	return err
}
