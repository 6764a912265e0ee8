package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/internal/outputs"
)

// pseudo is a pseudo-terminal with the quickstart on it.
type pseudo struct {
	t              *testing.T
	keys, terminal *os.File
	out            outputs.Buffer
	cmd            *exec.Cmd
	read           chan struct{} // closed when the terminal is gone
}

// onTerminal starts the quickstart on a terminal of its own.
func onTerminal(t *testing.T, args ...string) *pseudo {
	t.Helper()
	binary, port := build(t)
	p := &pseudo{t: t, read: make(chan struct{})}
	var err error
	if p.keys, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skip(err)
	}
	fd := int(p.keys.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil { // pty(7)
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if p.terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binary, append([]string{"-port", fmt.Sprint(port)}, args...)...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(p.cmd.Environ(), "XDG_STATE_HOME="+p.cmd.Dir, "TERM=xterm")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.terminal, p.terminal, p.terminal
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // when the test is killed the terminal hangs up
	go func() {
		defer close(p.read)
		for b := make([]byte, 1<<12); ; {
			n, err := p.keys.Read(b)
			p.out.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.terminal.Close()
		<-p.read // the last who has the terminal is gone
		p.keys.Close()
	})
	return p
}

func (p *pseudo) eventually(what string, cond func() bool) {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("never: %s; output:\n%s", what, &p.out)
		}
	}
}

func (p *pseudo) sees(text string) {
	p.t.Helper()
	p.eventually(text, func() bool { return strings.Contains(p.out.String(), text) })
}

func (p *pseudo) press(keys string) {
	p.t.Helper()
	if _, err := p.keys.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// lines reports whether the terminal is as a shell expects it: it echoes, and passes on lines.
func (p *pseudo) lines() bool {
	p.t.Helper()
	s, err := unix.IoctlGetTermios(int(p.terminal.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Lflag&(unix.ICANON|unix.ECHO) == unix.ICANON|unix.ECHO
}

// state is the state of the process in proc_pid_stat(5).
func (p *pseudo) state() string {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))[1]
}

func TestKeys(t *testing.T) {
	t.Parallel()
	p := onTerminal(t)
	p.sees(keysHelp)
	p.eventually("keys are read", func() bool { return !p.lines() })
	_, port, _ := strings.Cut(strings.Join(p.cmd.Args, " "), "-port ")
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	ask(t, number)
	p.sees("1/1")
	p.press("\x1b[q")       // as an arrow key would, or text that is pasted
	time.Sleep(time.Second) // nothing must happen
	p.press("r")
	p.sees("hello-world: restart: its replicas are replaced")
	p.sees("hello-world: all replicas have been replaced")
	p.press("z")
	p.sees("sluice: scaled to zero, except for what requests and min-scale need")
	p.eventually("zero", func() bool {
		last := p.out.String()
		return strings.Contains(last[strings.LastIndex(last, "SERVICE"):], "0/0")
	})
	before := strings.Count(p.out.String(), keysHelp)
	p.press("?")
	p.eventually("help", func() bool { return strings.Count(p.out.String(), keysHelp) > before })
	p.press("q")
	if err := p.cmd.Wait(); err != nil || !p.lines() {
		t.Errorf("%v; restored: %v; output:\n%s", err, p.lines(), &p.out)
	}
}

// While it is suspended, the terminal is the shell's; so it is when the quickstart has been killed.
func TestTerminalIsRestored(t *testing.T) {
	t.Parallel()
	p := onTerminal(t)
	p.eventually("keys are read", func() bool { return !p.lines() })
	p.press("\x1a") // Ctrl-Z
	p.eventually("it is suspended", func() bool { return p.state() == "T" })
	if !p.lines() {
		t.Error("the terminal wasn't restored")
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil { // fg
		t.Fatal(err)
	}
	p.eventually("keys are read again", func() bool { return !p.lines() })
	before := strings.Count(p.out.String(), keysHelp)
	p.press("?")
	p.eventually("help", func() bool { return strings.Count(p.out.String(), keysHelp) > before })
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.eventually("it is restored", p.lines)
}
