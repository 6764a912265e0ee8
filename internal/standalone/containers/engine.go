package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Label has the quickstart that a container belongs to, as HOST/PID.
const Label = "dev.sluice.quickstart"

// patience is how long an engine may take to answer a question. A daemon that hangs may hold up the quickstart for as long, once.
const patience = 10 * time.Second

// askAgain is the pause between questions to an engine, each of which costs about as much CPU time as a probe's program.
const askAgain = 100 * time.Millisecond

// Engine is podman or docker.
type Engine struct {
	name  Choice
	path  string
	owner string // value of Label
}

// Find returns the engine of a choice. It blocks while it asks whether the engine works, for patience at most.
func Find(c Choice) (*Engine, error) {
	switch c {
	case Process:
		return nil, errors.New("-runtime process allows none")
	case Podman, Docker:
		return find(c)
	case Auto, "":
	}
	e, err := find(Podman)
	if err == nil {
		return e, nil
	}
	e, err2 := find(Docker)
	if err2 == nil {
		return e, nil
	}
	return nil, fmt.Errorf("%w, and %w", err, err2)
}

func find(c Choice) (*Engine, error) {
	path, err := exec.LookPath(string(c))
	if err != nil {
		return nil, fmt.Errorf("there is no %s here", c)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	e := &Engine{name: c, path: path, owner: host + "/" + strconv.Itoa(os.Getpid())}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	question := []string{"ps", "--quiet", "--last", "1"} // info is slow: it asks which packages are installed
	if c == Docker {
		question = []string{"version", "--format", "{{.Server.Version}}"} // fails without a daemon
	}
	if _, err := e.output(ctx, question...); err != nil {
		return nil, fmt.Errorf("%s doesn't work: %w", c, err)
	}
	return e, nil
}

// Name is podman or docker.
func (e *Engine) Name() string { return string(e.name) }

// output runs the engine. An error has the last line of what it says.
func (e *Engine) output(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	said := &liner{}
	err := e.run(ctx, &out, said, args...)
	return out.String(), err
}

func (e *Engine) run(ctx context.Context, stdout interface{ Write([]byte) (int, error) }, stderr *liner, args ...string) error {
	cmd := exec.CommandContext(ctx, e.path, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the quickstart
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	stderr.flush()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s took too long", e.name, args[0])
	case err != nil && stderr.last != "":
		return errors.New(stderr.last)
	}
	return err
}

// Pull pulls an image that isn't here, and passes on each line of progress. It blocks until the image is here, or ctx ends. Policy is
// an imagePullPolicy of Kubernetes: with Always it pulls in any case, with Never it fails if the image isn't here.
func (e *Engine) Pull(ctx context.Context, image, policy string, progress func(string)) error {
	if policy != "Always" {
		if _, err := e.output(ctx, "image", "inspect", "--format", "{{.Id}}", image); err == nil {
			return nil
		}
	}
	if policy == "Never" {
		return fmt.Errorf("image %s isn't here, and its imagePullPolicy is Never", image)
	}
	progress("pulling " + image + " with " + e.Name())
	l := &liner{line: progress}
	if err := e.run(ctx, l, l, "pull", image); err != nil {
		return fmt.Errorf("image %s can't be pulled: %w", image, err)
	}
	progress("pulled " + image)
	return nil
}

// Await blocks until a container runs, or ctx ends: its client starts before it. It returns the PID of the container's process;
// 0 if that isn't one of this machine, but of a virtual one.
func (e *Engine) Await(ctx context.Context, name string) int {
	for ctx.Err() == nil {
		state, err := e.output(ctx, "container", "inspect", "--format", "{{.State.Running}} {{.State.Pid}} {{.Id}}", name)
		if f := strings.Fields(state); err == nil && len(f) == 3 && f[0] == "true" {
			pid, _ := strconv.Atoi(f[1])
			if cgroup, _ := os.ReadFile("/proc/" + f[1] + "/cgroup"); !strings.Contains(string(cgroup), f[2]) {
				return 0
			}
			return pid
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
	return 0
}

// Sweep removes the containers of quickstarts on this machine that have ended without doing so.
func (e *Engine) Sweep(ctx context.Context) error {
	list, err := e.output(ctx, "ps", "--all", "--quiet", "--filter", "label="+Label)
	ids := strings.Fields(list)
	if err != nil || len(ids) == 0 {
		return err
	}
	// The error may be about one that has just gone; the others are in the output.
	const format = `{{.Id}} {{index .Config.Labels "` + Label + `"}} {{.HostConfig.NetworkMode}}`
	text, _ := e.output(ctx, append([]string{"inspect", "--format", format}, ids...)...)
	var sharing, left []string
	for line := range strings.Lines(text) {
		switch f := strings.Fields(line); {
		case len(f) < 2 || !e.ended(f[1]):
		case strings.HasPrefix(f[len(f)-1], NetworkOf("")):
			sharing = append(sharing, f[0])
		default:
			left = append(left, f[0])
		}
	}
	var errs []error
	for _, some := range [][]string{sharing, left} { // podman keeps a container as long as others have its network
		if len(some) > 0 {
			_, err := e.output(ctx, append(e.remove(), some...)...)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ended reports whether a quickstart on this host, HOST/PID, has ended. Those of other hosts share the engine only.
func (e *Engine) ended(owner string) bool {
	host, number, _ := strings.Cut(owner, "/")
	own, _, _ := strings.Cut(e.owner, "/")
	pid, err := strconv.Atoi(number)
	return host == own && err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func (e *Engine) remove() []string {
	if e.name == Podman {
		return []string{"rm", "--force", "--ignore", "--time", "0"}
	}
	return []string{"rm", "--force"}
}

// Remove returns the command line that removes a container in any state. It may fail if there is none.
func (e *Engine) Remove(name string) []string {
	return append(append([]string{e.path}, e.remove()...), name)
}

// Runs returns the command line whose output is true when a container runs.
func (e *Engine) Runs(name string) []string {
	return []string{e.path, "container", "inspect", "--format", "{{.State.Running}}", name}
}

// Exec returns the beginning of the command line of a program inside a running container.
func (e *Engine) Exec(name string) []string { return []string{e.path, "exec", name} }
