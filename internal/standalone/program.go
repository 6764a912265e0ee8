package standalone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// runProbe runs the program of an exec probe in the container's directory, with its environment. Like Kubernetes, it
// expands no variables in argv. The error ends with the last line of the program's output.
func runProbe(ctx context.Context, container replica.Command, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = container.Env, container.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.New("it took too long")
	}
	if line := out.lastLine(); err != nil && line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// tail keeps the end of what is written.
type tail struct{ b []byte }

// maxTail is how much of the output is kept, which is enough for the last line.
const maxTail = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if n := len(t.b) - maxTail; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) lastLine() string {
	text := bytes.TrimSpace(t.b)
	return strings.TrimSpace(string(text[bytes.LastIndexByte(text, '\n')+1:]))
}
