package replica

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Config of a Replica.
type Config struct {
	Spec Spec
	// Notify gets each event, one at a time, in order. It may block for a while: until it returns no more events are read,
	// and the output of the processes is buffered in pipes.
	Notify func(Event)
	// Stderr gets the supervisor's own errors; nil: they are discarded.
	Stderr *os.File
}

// Replica is the quickstart's side of a running supervisor.
type Replica struct {
	cmd  *exec.Cmd
	spec Spec
	done chan struct{}

	mu      sync.Mutex
	control *os.File // nil: closed
	groups  map[int]bool
}

// Start executes a supervisor for c.Spec and returns when that process exists. Notify and Done report the rest.
func Start(c Config) (*Replica, error) {
	if err := c.Spec.Validate(); err != nil {
		return nil, err
	}
	self, err := Self()
	if err != nil {
		return nil, err
	}
	controlR, controlW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	eventsR, eventsW, err := os.Pipe()
	if err != nil {
		controlR.Close()
		controlW.Close()
		return nil, err
	}

	cmd := &exec.Cmd{
		Path:        self,
		Args:        []string{SupervisorName, c.Spec.Name},
		ExtraFiles:  []*os.File{controlR, eventsW}, // controlFD, eventsFD
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	err = cmd.Start()
	// Only the supervisor may have these ends: a pipe reports the end of the other side when the last copy is closed.
	controlR.Close()
	eventsW.Close()
	if err != nil {
		controlW.Close()
		eventsR.Close()
		return nil, fmt.Errorf("replica: supervisor of %s: %w", c.Spec.Name, err)
	}
	r := &Replica{cmd: cmd, spec: c.Spec, done: make(chan struct{}), control: controlW, groups: map[int]bool{cmd.Process.Pid: true}}
	r.send(c.Spec) // without a Spec a supervisor ends
	go r.follow(eventsR, c.Notify)
	return r, nil
}

// Stop ends the replica gracefully: the queue-proxy drains, then the app ends. It doesn't block.
func (r *Replica) Stop() { r.send(order{Stop: true}) }

// Restart ends a process if its PID is still pid, with that grace period; it is restarted like one that ended by itself. It
// doesn't block.
func (r *Replica) Restart(process Process, pid int, grace time.Duration) {
	r.send(order{Restart: true, Process: process, PID: pid, Grace: grace})
}

// Kill ends the replica within a few seconds, in any state. It doesn't block.
func (r *Replica) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.control != nil {
		r.control.Close()
		r.control = nil
	}
}

// Done is closed when every process of the replica has ended.
func (r *Replica) Done() <-chan struct{} { return r.done }

// PID returns that of the supervisor.
func (r *Replica) PID() int { return r.cmd.Process.Pid }

// send writes a line of JSON to the supervisor. It doesn't block, since the pipe's buffer has room for all orders.
func (r *Replica) send(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types can be encoded
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.control != nil {
		_, _ = r.control.Write(append(line, '\n')) // fails if the supervisor has ended, which follow handles
	}
}

// follow reads events until the supervisor ends, then cleans up what it may have left.
func (r *Replica) follow(events *os.File, notify func(Event)) {
	defer close(r.done)
	defer events.Close()
	for in := bufio.NewReader(events); ; {
		line, err := in.ReadBytes('\n')
		var e Event
		if err == nil && json.Unmarshal(line, &e) == nil {
			if e.Kind == Started && e.Process != QueueProxy { // which is in the supervisor's group
				r.groups[e.PID] = true
			}
			if e.Kind == Exited && e.Process != QueueProxy {
				delete(r.groups, e.PID)
			}
			if notify != nil {
				notify(e)
			}
		}
		if err != nil {
			break
		}
	}
	err := r.cmd.Wait()
	r.Kill()
	if err != nil { // the supervisor was killed, or failed
		for group := range r.groups {
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
		for _, c := range r.spec.commands() {
			c.after()
		}
		r.spec.Cgroups.removeOf(r.PID())
	}
	_, _ = io.Copy(io.Discard, events)
	if r.spec.Dir != "" { // a killed supervisor doesn't remove it
		_ = os.RemoveAll(r.spec.Dir)
	}
}
