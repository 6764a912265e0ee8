package standalone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/containers"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// Pauses between the attempts of a probe until it first succeeds: running a program costs more than a connection.
const (
	askAgain = 10 * time.Millisecond
	runAgain = 250 * time.Millisecond
)

// watched is a container that the kubelet probes itself. The queue-proxy makes the app's readiness probe, unless it is an
// exec probe.
type watched struct {
	process   replica.Process
	name      string // for the screen
	command   replica.Command
	startup   *manifest.Probe
	liveness  *manifest.Probe
	readiness *manifest.Probe // nil: it is ready once it has started
	ownPort   bool            // the kubelet only waits for readiness' delay; the queue-proxy probes
	published bool            // it is a container, whose ports are published: listensInside tells whether it listens
	port      int             // the app's, inside
	exec      []string        // before the argv of a probe's program: runs it inside the container
	// await, unless it is nil, blocks until the container runs, which is later than the process that reports its output.
	await     func(context.Context) int
	inside    int // PID of the container's process, 0 if it isn't known; the prober owns it
	sidecar   bool
	restarted string   // why the kubelet is ending its process; the server's goroutine owns it
	pid       int      // of its current process, or 0; the server's goroutine owns it
	pids      chan int // of capacity one: the newest pid, for the prober
}

// watchedOf returns the containers of a replica that the kubelet probes.
func watchedOf(i *instance, spec replica.Spec) []*watched {
	var all []*watched
	add := func(c *manifest.Container, process replica.Process, command replica.Command, sidecar bool) {
		w := &watched{
			process: process, name: "the " + string(process), command: command, startup: c.Startup, liveness: c.Liveness,
			sidecar: sidecar, pids: make(chan int, 1),
		}
		if sidecar && !c.Probe.Default() || c.Probe.Exec != nil || c.Probe.Delay > 0 {
			w.readiness = &c.Probe
		}
		w.ownPort = !sidecar && c.Probe.Exec == nil
		if isContainer(command) {
			name := containerName(i.name, c)
			w.exec = i.engine.Exec(name)
			w.await = func(ctx context.Context) int { return i.engine.Await(ctx, name) }
			w.published, w.port = i.Command == nil, i.Template.Container.Port
			if !sidecar && !i.source && c.Probe.TCP && c.Probe.Host == "" { // the queue-proxy's would succeed too early
				w.readiness = &c.Probe
			}
		}
		if sidecar || w.startup != nil || w.liveness != nil || w.readiness != nil {
			all = append(all, w)
		}
	}
	t := &i.Template
	add(&t.Container, replica.App, spec.App, false)
	for at := range t.Sidecars {
		add(&t.Sidecars[at], spec.Sidecars[at].Process, spec.Sidecars[at].Command, true)
	}
	for at := range t.Init {
		if t.Init[at].Stays {
			add(&t.Init[at], spec.Init[at].Process, spec.Init[at].Command, true)
		}
	}
	return all
}

// gate returns why p gets no requests even if its queue-proxy's probe passes; "" if it may get them.
func (p *pod) gate() string {
	for _, w := range p.watched {
		if why := p.gates[w.process]; why != "" {
			return why
		}
	}
	return ""
}

// close keeps requests from p until the container has started and passed its probes.
func (w *watched) close(p *pod) {
	if w.sidecar || w.startup != nil || w.readiness != nil {
		p.gates[w.process] = "not ready: " + w.name + " has yet to start"
	}
}

// began notifies the prober that a process has been started.
func (p *pod) began(e replica.Event) {
	for _, w := range p.watched {
		if w.process == e.Process {
			w.runs(e.PID)
		}
	}
}

// runs sets the container's current process.
func (w *watched) runs(pid int) {
	w.pid = pid
	select { // discard an older one
	case <-w.pids:
	default:
	}
	w.pids <- pid
}

// failedProbe returns the probe because of which the kubelet ended a process; "" if it ended by itself.
func (p *pod) failedProbe(process replica.Process) (why string) {
	for _, w := range p.watched {
		if w.process == process {
			why, w.restarted = w.restarted, ""
		}
	}
	return why
}

// containerEnded keeps requests from p until the container runs again.
func (s *Server) containerEnded(r *revision, p *pod, process replica.Process) {
	for _, w := range p.watched {
		if w.process == process {
			w.runs(0)
			w.close(p)
			s.gatesChanged(r, p)
		}
	}
}

// gatesChanged updates p's readiness from the last result of its queue-proxy's probe and the remaining gates.
func (s *Server) gatesChanged(r *revision, p *pod) {
	s.setReady(r, p, p.passed, cmp.Or(p.gate(), notReadyWhy(p, "")))
	s.publishEndpoints(r)
}

// setGate sets why the container keeps requests from p; "" opens its gate.
func (s *Server) setGate(r *revision, p *pod, w *watched, pid int, why string) {
	s.post(func() {
		if w.pid != pid || p.ending { // its process has ended
			return
		}
		if why == "" {
			delete(p.gates, w.process)
		} else {
			p.gates[w.process] = why
		}
		s.gatesChanged(r, p)
	})
}

// watchContainer probes the successive processes of a container until ctx ends.
func (s *Server) watchContainer(ctx context.Context, r *revision, p *pod, w *watched) {
	life, end := context.WithCancel(ctx)
	done := make(chan struct{})
	close(done)
	for {
		select {
		case <-ctx.Done():
			end()
			<-done
			return
		case pid := <-w.pids:
			end()
			<-done
			if pid == 0 {
				continue
			}
			life, end = context.WithCancel(ctx)
			done = make(chan struct{})
			go func() {
				defer close(done)
				s.probeProcess(life, r, p, w, pid)
			}()
		}
	}
}

// probeProcess makes the startup probe of a process, then its readiness and liveness probes.
func (s *Server) probeProcess(ctx context.Context, r *revision, p *pod, w *watched, pid int) {
	if w.await != nil {
		w.inside = w.await(ctx)
	}
	if w.startup != nil && !s.awaitStart(ctx, r, p, w, pid) {
		return
	}
	if w.readiness == nil {
		s.setGate(r, p, w, pid, "")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if w.readiness != nil {
			s.probeReadiness(ctx, r, p, w, pid)
		}
	}()
	if w.liveness != nil {
		s.probeLife(ctx, r, p, w, pid)
	}
	<-done
}

// awaitStart repeats the startup probe until it succeeds; it returns false if it failed or ctx ended. Kubernetes probes
// once a period. Probing more often finds success earlier, within the same total time.
func (s *Server) awaitStart(ctx context.Context, r *revision, p *pod, w *watched, pid int) bool {
	probe := w.startup
	budget := probe.Budget()
	limit, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	sleep(limit, probe.Delay)
	err := errors.New("its delay took all of its time")
	for limit.Err() == nil {
		e := s.attempt(limit, p, w, probe)
		if e == nil {
			return true
		}
		if limit.Err() == nil {
			err = e
		}
		sleep(limit, pauseOf(probe))
	}
	if ctx.Err() == nil {
		s.restart(r, p, w, pid, probe, fmt.Sprintf("its startup probe failed for %v: %v", budget, err))
	}
	return false
}

func pauseOf(p *manifest.Probe) time.Duration {
	if p.Exec != nil {
		return runAgain
	}
	return askAgain
}

// probeLife makes the liveness probe once a period, and restarts the process after failureThreshold failures in a row.
func (s *Server) probeLife(ctx context.Context, r *revision, p *pod, w *watched, pid int) {
	sleep(ctx, w.liveness.Delay)
	for failures := 0; ctx.Err() == nil; sleep(ctx, w.liveness.Period) {
		err := s.attempt(ctx, p, w, w.liveness)
		if failures++; err == nil {
			failures = 0
		}
		if failures == w.liveness.Failure && ctx.Err() == nil {
			s.restart(r, p, w, pid, w.liveness, fmt.Sprintf("its liveness probe failed %d times: %v", failures, err))
			return
		}
	}
}

// probeReadiness makes the readiness probe, and opens and closes the gate.
func (s *Server) probeReadiness(ctx context.Context, r *revision, p *pod, w *watched, pid int) {
	probe := w.readiness
	sleep(ctx, probe.Delay)
	if w.ownPort { // the queue-proxy makes the probe
		for why := ""; w.published && probe.TCP && ctx.Err() == nil; sleep(ctx, askAgain) {
			err := s.attempt(ctx, p, w, probe)
			if err == nil {
				break
			}
			if now := fmt.Sprintf("not ready: the app doesn't listen on port %d of its container: %v", cmp.Or(probe.Port, w.port), err); now != why {
				why = now
				s.setGate(r, p, w, pid, why)
			}
		}
		s.setGate(r, p, w, pid, "")
		return
	}
	ready, failures, successes := false, 0, 0
	for ctx.Err() == nil {
		err := s.attempt(ctx, p, w, probe)
		if err == nil {
			successes, failures = successes+1, 0
		} else {
			successes, failures = 0, failures+1
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && !ready && successes >= probe.SuccessThreshold:
			ready = true
			s.setGate(r, p, w, pid, "")
		case err != nil && (failures == probe.Failure || failures == 1 && !ready):
			ready = false
			s.setGate(r, p, w, pid, fmt.Sprintf("not ready: the readiness probe of %s fails: %v", w.name, err))
		}
		if ready {
			sleep(ctx, max(probe.Period, leastPeriod))
		} else {
			sleep(ctx, max(pauseOf(probe), min(probe.Period, startPeriod)))
		}
	}
}

// restart ends the process and shows the reason; its supervisor starts it again.
func (s *Server) restart(r *revision, p *pod, w *watched, pid int, probe *manifest.Probe, why string) {
	grace := graceOf(&r.Template)
	if probe.Grace != nil {
		grace = *probe.Grace
	}
	s.post(func() {
		if w.pid != pid || p.ending {
			return
		}
		s.config.Screen.Line(p.name + ": " + w.name + " is restarted: " + why)
		w.restarted = why
		p.replica.Restart(w.process, pid, grace)
	})
}

// attempt makes a probe once; nil means that it succeeded.
func (s *Server) attempt(ctx context.Context, p *pod, w *watched, probe *manifest.Probe) error {
	if probe.Exec != nil {
		ctx, cancel := context.WithTimeout(ctx, probe.Timeout)
		defer cancel()
		return runProbe(ctx, w.command, slices.Concat(w.exec, probe.Exec))
	}
	if w.published && probe.TCP && probe.Host == "" {
		return w.listensInside(ctx, cmp.Or(probe.Port, w.port), hostPort(p.ports.of(probe)))
	}
	all, err := queueproxy.ParseProbes(probeJSON(probe, p.ports.of(probe)), false, replicaHost, p.ports.app)
	if err != nil {
		return err
	}
	return all[0].Try(ctx)
}

// listensInside returns nil if something listens on a port inside the container, which is published at addr.
func (w *watched) listensInside(ctx context.Context, port int, addr string) error {
	if w.inside == 0 {
		return containers.Listens(ctx, addr, containers.HoldLong)
	}
	if !replica.ListensIn(w.inside, port) {
		return errors.New("connection refused")
	}
	return containers.Listens(ctx, addr, containers.Hold) // it may be on loopback, where it can't be reached
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
