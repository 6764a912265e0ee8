// Package orphans starts programs that end when the process that started them does, in whatever way: a test binary that is
// killed leaves no server and no browser behind.
//
//	err := orphans.StartFor(t, cmd) // in the place of cmd.Start
//
// # Who ends whom
//
// Each program leads a process group of its own. A watchdog, one shell for all of them, reads from a pipe which groups there
// are; this process alone holds the other end. When that closes, the shell kills the groups that are left. (Linux' parent
// death signal reaches no grandchildren, such as nginx's workers, and comes when the thread ends that forked.) A program that
// leaves its group gets away.
package orphans

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// watchdog keeps a list of groups, "+ 123" and "- 123" a line, and kills what is left of it at the end of its input.
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

// pipe is the way to the watchdog, which the first program starts.
var pipe = sync.OnceValues(func() (io.Writer, error) {
	r, w, err := os.Pipe() // no program inherits it
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("sh", "-c", watchdog)
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process: the watchdog has to outlive it
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("orphans: %w", err)
	}
	return w, nil // never closed: it closes with the process, which the watchdog outlives
})

// Start starts cmd as the leader of a process group, which is killed when this process ends before release has been called.
// Call that after cmd.Wait: from then on the group's number may be somebody else's. It may be called concurrently.
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
	if _, err := fmt.Fprintf(w, "+ %d\n", group); err != nil { // in one write: the lines of several don't mix
		_ = syscall.Kill(-group, syscall.SIGKILL)
		_ = cmd.Wait()
		return nil, fmt.Errorf("orphans: %w", err)
	}
	return sync.OnceFunc(func() { _, _ = fmt.Fprintf(w, "- %d\n", group) }), nil
}

// StartFor is Start for a test, with release among its cleanups. The test waits for cmd itself, in a cleanup at the latest.
func StartFor(t interface{ Cleanup(func()) }, cmd *exec.Cmd) error {
	release, err := Start(cmd)
	if err == nil {
		t.Cleanup(release)
	}
	return err
}
