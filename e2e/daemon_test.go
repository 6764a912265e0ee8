package e2e

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

// daemon is a process that leads a group, as a shell's job does, and writes its output to a file.
type daemon struct {
	t      testing.TB
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

// launch starts cmd, and kills its group when the test ends.
func launch(t testing.TB, log string, cmd *exec.Cmd) *daemon {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	release, err := orphans.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, cmd: cmd, log: log, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its status is in cmd.ProcessState
		release()
		close(d.exited)
	}()
	t.Cleanup(d.kill)
	return d
}

func (d *daemon) kill() {
	if !d.running() {
		return
	}
	_ = syscall.Kill(-d.pid(), syscall.SIGKILL)
	<-d.exited
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

func (d *daemon) running() bool {
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

// wait waits for the process to end by itself.
func (d *daemon) wait() *os.ProcessState {
	d.t.Helper()
	select {
	case <-d.exited:
		return d.cmd.ProcessState
	case <-time.After(patience):
		d.t.Fatalf("%v still runs after %v", d.cmd.Args, patience)
		return nil
	}
}

// output returns the output of the process and its children so far.
func (d *daemon) output() string {
	b, _ := os.ReadFile(d.log)
	return string(b)
}
