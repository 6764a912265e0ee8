package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

// Command describes a program to run.
type Command struct {
	Name string // for errors, and the name of the log
	Path string
	Args []string
	Env  []string // the whole environment; nil: this process's
	Dir  string   // the directory of the log
}

// Process is a program that runs until it ends or is stopped.
type Process struct {
	name  string
	group int
	log   string
	kill  sync.Once
	ended chan struct{}
	err   error // the program's error, valid once ended is closed
}

// Start starts c in its own process group, with its output in a file.
func Start(c Command) (*Process, error) {
	log, err := os.CreateTemp(c.Dir, filepath.Base(c.Name)+"-*.log")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.Env, log, log
	release, err := orphans.Start(cmd)
	_ = log.Close() // the program has its own
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, group: cmd.Process.Pid, log: log.Name(), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
		release()
	}()
	return p, nil
}

// Stop kills the whole group and waits for the program's end. A second call does nothing. Stop sends no SIGTERM, after which a
// queue-proxy would drain for half a minute.
func (p *Process) Stop() {
	p.kill.Do(func() { _ = syscall.Kill(-p.group, syscall.SIGKILL) }) // later another group may have the number
	<-p.ended
}

// Ready calls check until it succeeds. It returns check's last error if that takes longer than limit, and an error earlier if
// the program or ctx ends.
func (p *Process) Ready(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("no check was made")
	for {
		if err := check(ctx); err == nil {
			return nil
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended (%w)%s", p.name, endOf(p.err), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s isn't ready: %w%s", p.name, last, p.tail())
		case <-tick.C:
		}
	}
}

func endOf(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// tail returns the end of the program's output.
func (p *Process) tail() string {
	const most = 300
	text, err := os.ReadFile(p.log)
	if err != nil || len(text) == 0 {
		return ""
	}
	said := strings.Join(strings.Fields(string(text)), " ")
	if len(said) > most {
		said = "…" + said[len(said)-most:]
	}
	return "; it said: " + said
}

// FreePort finds a port on which no program listens at any address. It is below the range from which Linux takes ports for
// outgoing connections (32768 and up), of which a comparison opens many. The search begins at a different port in each process.
func FreePort() (int, error) {
	const first, count = 20000, 12000
	start := int(time.Now().UnixNano()/1000+int64(os.Getpid())*7919) % count
	for i := range count {
		port := first + (start+i)%count
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("no free port")
}
