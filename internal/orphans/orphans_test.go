package orphans

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// victim starts a program that ends, then one with a child, which prints their process IDs, and waits to be killed.
func victim() {
	over := exec.Command("true")
	release, err := Start(over)
	if err != nil {
		panic(err)
	}
	_ = over.Wait()
	release()
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo $$ $!; wait")
	cmd.Stdout = os.Stdout
	if _, err := Start(cmd); err != nil {
		panic(err)
	}
	time.Sleep(time.Hour)
}

// When a test binary is killed, the programs that it has started end, and so do their children.
func TestC14NothingIsLeftBehind(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "ORPHANS=1")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			var pids [2]int
			if _, serr := fmt.Sscan(line, &pids[0], &pids[1]); err != nil || serr != nil {
				t.Fatalf("%q: %v %v", line, err, serr)
			}
			if !alive(pids[0]) || !alive(pids[1]) {
				t.Error("they don't run")
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			for end := time.Now().Add(time.Minute); alive(pids[0]) || alive(pids[1]); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					_ = syscall.Kill(-pids[0], syscall.SIGKILL)
					t.Fatal("they are left behind")
				}
			}
		})
	}
}

// alive reports whether a process runs. One that has ended may stay in the process table if no parent reaps it.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func TestStartFails(t *testing.T) {
	if _, err := Start(exec.Command("/nowhere/to/be/found")); err == nil {
		t.Error("no error")
	}
}
