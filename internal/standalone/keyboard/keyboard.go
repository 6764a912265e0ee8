// Package keyboard reads single keys from a terminal, without Enter.
//
//	terminal ──► Run ──► Config.Press
//
// Ctrl-C, Ctrl-Z and Ctrl-\ keep their meaning, and output is not affected. The terminal gets back its settings when Run returns,
// while the process is suspended (SIGTSTP), and, by a shell that waits for the end of this process, however that ends. A process
// in the background leaves the terminal alone.
//
// # Concurrency
//
// Run has no goroutines: it looks for keys, signals and the end of its context five times a second.
package keyboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config of Run.
type Config struct {
	// Terminal is where keys come from; usually standard input.
	Terminal *os.File
	// Press gets each key. Run reads the next one when it has returned.
	Press func(key byte)
}

// period is how long a read waits for a key; in the settings of a terminal it is in tenths of a second.
const period = 200 * time.Millisecond

// Run reads keys until ctx ends. An error means that it can't read any.
func Run(ctx context.Context, c Config) error {
	t, err := open(c.Terminal)
	if err != nil {
		return err
	}
	defer t.close()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTSTP, syscall.SIGCONT)
	defer signal.Stop(signals)
	for ctx.Err() == nil {
		select {
		case s := <-signals:
			if s == syscall.SIGTSTP {
				t.restore()
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // returns when the process continues
			}
			t.keys = false // the shell may have changed the settings
			continue
		default:
		}
		began := time.Now()
		pressed, err := t.read()
		if err != nil {
			return err
		}
		if len(pressed) == 1 { // else it is an arrow key, say, or text that was pasted
			c.Press(pressed[0])
		}
		if left := period - time.Since(began); len(pressed) == 0 && left > 0 { // nothing can be read now
			select {
			case <-ctx.Done():
			case <-time.After(left):
			}
		}
	}
	return nil
}

// terminal is a terminal whose settings are changed for a while.
type terminal struct {
	file     *os.File
	settings string         // to be restored, in stty's form
	keys     bool           // it has been set up to read keys
	guard    io.WriteCloser // the input of a shell that restores the settings if the last line was "keys"
	guardian *exec.Cmd
}

// open saves the settings and starts the shell.
func open(file *os.File) (*terminal, error) {
	t := &terminal{file: file}
	settings, err := t.stty("-g")
	if err != nil {
		return nil, err
	}
	t.settings = strings.TrimSpace(settings)
	// It has a group of its own, so that Ctrl-C doesn't reach it. Without TTOU a process in the background would be stopped
	// when it changes the settings.
	t.guardian = exec.Command("sh", "-c", `trap "" HUP INT QUIT TERM TSTP TTIN TTOU
while read -r last; do state=$last; done <&3
if [ "$state" = keys ]; then stty "$0"; fi`, t.settings)
	t.guardian.Stdin = file
	t.guardian.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	t.guard, t.guardian.ExtraFiles = w, []*os.File{r}
	if err := t.guardian.Start(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return t, nil
}

// close restores the settings and ends the shell.
func (t *terminal) close() {
	t.restore()
	t.guard.Close()
	_ = t.guardian.Wait() // its exit status says nothing
}

// stty runs the program of that name (POSIX) with the terminal.
func (t *terminal) stty(args ...string) (string, error) {
	cmd := exec.Command("stty", args...)
	cmd.Stdin = t.file
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("stty %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// read returns the keys that are pressed within period; none if the process is in the background.
func (t *terminal) read() ([]byte, error) {
	fd := int(t.file.Fd())
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		t.keys = false
		return nil, nil
	}
	if !t.keys {
		if _, err := io.WriteString(t.guard, "keys\n"); err != nil {
			return nil, err
		}
		if _, err := t.stty("-icanon", "-echo", "min", "0", "time", fmt.Sprint(int(period/(100*time.Millisecond)))); err != nil {
			return nil, err
		}
		t.keys = true
	}
	b := make([]byte, 64)
	n, err := unix.Read(fd, b)
	if err == unix.EINTR || err == unix.EIO { // a signal; or the terminal is gone, or no longer this process's
		err = nil
	}
	return b[:max(n, 0)], err
}

// restore restores the settings.
func (t *terminal) restore() {
	if !t.keys {
		return
	}
	t.keys = false
	if _, err := t.stty(t.settings); err == nil {
		_, _ = io.WriteString(t.guard, "restored\n")
	}
}
