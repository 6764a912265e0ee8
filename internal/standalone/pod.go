package standalone

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// pod is one replica of a revision.
type pod struct {
	name, uid  string
	containers []*container
	ports      ports
	taken      []int
	replica    *replica.Replica
	stop       context.CancelFunc // of its kubelet

	version     int // of the revision
	launched    time.Time
	appStarted  time.Time
	ready       bool
	ending      bool
	endingSince time.Time
	crashes     int
	reason      string    // why it is not ready
	specific    bool      // the reason is more specific than a failed probe
	unavailable string    // why it won't become ready; empty while it may
	strayed     time.Time // since when the app has listened on another port
	ended       string    // why it ended: the first process that ended without a restart
	report      report    // the latest of its queue-proxy
	load        float64   // requests in flight, in its latest report

	passed  bool // its queue-proxy's probe passes
	watched []*watched
	gates   map[replica.Process]string // by container: why the kubelet's own probes keep it from getting requests
}

func (p *pod) endpoint() activator.Endpoint {
	return activator.Endpoint{ID: p.name, Addr: hostPort(p.ports.serve)}
}

func hostPort(port int) string { return net.JoinHostPort(replicaHost, strconv.Itoa(port)) }

// launch starts a replica and publishes its address to the activator at once.
func (s *Server) launch(r *revision) error {
	var taken []int
	var own ports // a source has none
	if r.source == nil {
		inside := probedPorts(r.Revision)
		var err error
		if taken, err = s.ports.Take(4 + len(inside)); err != nil {
			return err
		}
		own = portsOf(taken, inside)
	}
	r.made++
	p := &pod{
		name: fmt.Sprintf("%s-%d-%04x", r.Name, r.made, rand.IntN(1<<16)), uid: string(store.NewUID()),
		ports: own, taken: taken, version: r.version, launched: time.Now(), reason: "starting", gates: map[replica.Process]string{},
	}
	if r.pinned {
		p.ports.app = r.Template.Container.Port
	}
	p.containers = containersOf(r)
	i := &instance{Revision: r.Revision, name: p.name, uid: p.uid, ports: p.ports, self: s.self, objects: s.declared.objects, engine: s.engines.engine, rebound: r.rebound, source: r.source != nil}
	spec, err := s.spec(r, i)
	if err != nil {
		s.ports.Release(taken)
		return err
	}
	s.watchFiles(r, spec)
	p.replica, err = replica.Start(replica.Config{
		Spec:   spec,
		Notify: func(e replica.Event) { s.notify(r, p, e) },
		Stderr: os.Stderr,
	})
	if err != nil {
		s.ports.Release(taken)
		return errors.Join(err, i.remove())
	}
	p.watched = watchedOf(i, spec)
	for _, w := range p.watched {
		w.close(p)
	}
	r.pods = append(r.pods, p)
	s.pods[p] = r
	s.publishEndpoints(r)
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	if r.source == nil {
		s.tasks.Go(func() { s.probe(ctx, r, p) })
		s.tasks.Go(func() { s.scrape(ctx, p) })
	}
	for _, w := range p.watched {
		s.tasks.Go(func() { s.watchContainer(ctx, r, p, w) })
	}
	s.tasks.Go(func() {
		<-p.replica.Done()
		s.post(func() { s.gone(r, p) })
	})
	return nil
}

// spec returns what a replica's supervisor runs.
func (s *Server) spec(r *revision, i *instance) (replica.Spec, error) {
	if missing := r.Template.Missing(r.Namespace, i.objects); len(missing) > 0 {
		return replica.Spec{}, missing[0].Errorf("%s", missing[0].Why)
	}
	if err := s.setNames(i, r); err != nil {
		return replica.Spec{}, err
	}
	app, before, beside, err := i.containers()
	if err != nil {
		return replica.Spec{}, err
	}
	level := "error"
	if s.log.Core().Enabled(zapcore.DebugLevel) {
		level = "debug"
	}
	spec := replica.Spec{
		Name: i.name,
		App:  app,
		Init: before, Sidecars: beside, Dir: i.dir, Network: i.network(), Cgroups: s.cgroups,
		Host: replicaHost, Port: i.ports.app, Binds: i.binds(),
		DrainLimit: r.Template.Timeout, Grace: graceOf(&r.Template),
	}
	if r.source == nil {
		spec.QueueProxy = queueProxyCommand(r.Revision, i.name, i.ports, s.self, level, s.config.Limits.Behind(), s.config.Observability.Tracing)
	}
	return spec, nil
}

// graceOf returns how long containers of t may take to end after SIGTERM.
func graceOf(t *manifest.Template) time.Duration {
	if t.Grace != nil {
		return *t.Grace
	}
	return appGrace
}

// publishEndpoints publishes the replicas of r to the activator. When it returns, no further request goes to others.
func (s *Server) publishEndpoints(r *revision) {
	if r.source != nil {
		return
	}
	var e activator.Endpoints
	for _, p := range r.pods {
		switch {
		case p.ending, len(p.gates) > 0:
		case p.ready:
			e.Ready = append(e.Ready, p.endpoint())
		default:
			e.NotReady = append(e.NotReady, p.endpoint())
		}
	}
	s.activator.UpdateEndpoints(r.id, e)
	s.publishUnavailable(r)
}

// strayedFor is how long an app may listen only on another port before waiting requests fail: some apps open another port
// first, and $PORT when they have started.
const strayedFor = 10 * time.Second

// publishUnavailable has the activator fail the requests that wait for r if no replica will become ready, with the reason
// on the screen; or it withdraws that reason.
func (s *Server) publishUnavailable(r *revision) {
	if r.source != nil {
		return
	}
	why := ""
	switch active := r.active(); {
	case r.readyPods() > 0:
	case len(active) > 0:
		for _, p := range active {
			if why = p.unavailable; why == "" && !p.strayed.IsZero() && time.Since(p.strayed) > strayedFor {
				why = p.reason
			}
			if why == "" {
				break
			}
		}
	case r.pinned && s.ownerOfPort(r) != nil:
		why = fmt.Sprintf("its app listens on port %d only, which %s has", r.Template.Container.Port, s.ownerOfPort(r).Name)
	case r.failures > 1 && time.Now().Before(r.notBefore):
		why = r.failure
	}
	if why != "" {
		why = r.Name + ": " + why
	}
	if why != r.unavailable {
		r.unavailable = why
		s.activator.UpdateUnavailable(r.id, why)
	}
}

// terminate drains and ends a replica.
func (s *Server) terminate(r *revision, p *pod) {
	if p.ending {
		return
	}
	p.end()
	p.stop()
	s.recordPod(r, p, objects.Normal, "Killing", "Stopping containers")
	s.publishEndpoints(r)
	p.replica.Stop()
}

// gone removes a replica whose processes have ended.
func (s *Server) gone(r *revision, p *pod) {
	p.stop()
	r.pods = slices.DeleteFunc(r.pods, func(q *pod) bool { return q == p })
	delete(s.pods, p)
	for _, c := range p.containers {
		c.log.Close()
	}
	s.ports.Release(p.taken)
	if !p.ending {
		s.publishEndpoints(r)
		s.failed(r, p.whyEnded())
	}
	s.converge(r)
	s.portFreed(p)
}

// whyEnded returns why p ended by itself.
func (p *pod) whyEnded() string {
	if p.ended != "" {
		return p.ended
	}
	return "its supervisor ended" // it reports every other end
}

// failed starts the back-off after a replica that ended by itself or couldn't be launched.
func (s *Server) failed(r *revision, why string) {
	const first, most = 200 * time.Millisecond, 30 * time.Second
	r.failure = why
	pause := min(first<<min(r.failures, 20), most)
	r.failures++
	r.notBefore = time.Now().Add(pause)
	s.publishUnavailable(r)
	s.config.Screen.Line(fmt.Sprintf("%s: a replica failed: %s; the next one in %v", r.Name, why, pause))
	s.recordRevision(r, objects.Warning, "ReplicaFailed", why, fromKubelet)
	s.tasks.Go(func() {
		select {
		case <-time.After(pause):
			s.post(func() { s.publishUnavailable(r); s.converge(r) })
		case <-s.stopped:
		}
	})
}

// setReady takes a result of the kubelet's probe of p; why is the reason if it isn't ready.
func (s *Server) setReady(r *revision, p *pod, ready bool, why string) {
	if p.ending {
		return
	}
	p.passed = ready
	if gate := p.gate(); ready && gate != "" {
		ready, why = false, gate
	}
	if ready {
		why = ""
	}
	changed := p.ready != ready
	p.ready = ready
	if p.specific = p.specific && !ready; !p.specific {
		p.reason = why
	}
	if !changed {
		return
	}
	if ready {
		p.crashes, p.unavailable, r.failures, r.failure = 0, "", 0, ""
	}
	s.publishEndpoints(r)
	s.warmed(r)
	if len(r.outdated()) > 0 {
		s.converge(r)
	}
}

// notify receives an event of a replica, on the goroutine that reads its events.
func (s *Server) notify(r *revision, p *pod, e replica.Event) {
	c := p.container(e.Process)
	switch {
	case c == nil:
	case e.Kind == replica.Started:
		c.log.Began()
	case e.Kind == replica.Line:
		c.log.Add(e.Time, e.Text)
	}
	if e.Kind == replica.Line {
		s.config.Screen.Line(p.name + " " + string(e.Process) + " | " + e.Text)
		return
	}
	s.post(func() { s.event(r, p, e) })
}

// event handles an event of a replica.
func (s *Server) event(r *revision, p *pod, e replica.Event) {
	said := ""
	say := func(why string) {
		p.reason, p.specific, said = why, true, why
		if !p.ending {
			s.config.Screen.Line(p.name + ": " + why)
		}
	}
	if c := p.container(e.Process); c != nil {
		c.follow(e)
	}
	port := p.ports.app
	told := port // as $PORT
	if r.rebound {
		told = r.Template.Container.Port
	}
	switch e.Kind {
	case replica.Started:
		if e.Process == replica.App {
			p.appStarted = e.Time
			p.unavailable, p.strayed = "", time.Time{}
		}
		p.began(e)
		if r.source != nil && e.Process == replica.App { // nothing asks it
			s.setReady(r, p, true, "")
		}
	case replica.Exited, replica.Failed:
		switch {
		case !p.ending && e.With != "":
			s.config.Screen.Line(fmt.Sprintf("%s: the %s is started again with the %s, whose network it shares", p.name, e.Process, e.With))
			s.processEnded(r, p, e.Process)
		case !p.ending:
			served := p.ready
			if say(s.exited(r, p, e)); e.Process == replica.App && e.RestartIn > 0 && !served {
				s.unblock(r, p)
			}
		case e.Process == replica.App && e.Status == "signal: killed":
			s.config.Screen.Line(p.name + ": the app did not end on SIGTERM, and was killed")
		}
	case replica.Taken:
		if r.pinned {
			say(fmt.Sprintf("port %d, on which the app listens, was taken by another program", port))
			break
		}
		say(fmt.Sprintf("port %d was taken by another program; trying another one", port))
		s.terminate(r, p)
		s.converge(r)
	case replica.Strayed:
		if !p.ending && s.refit(r, e) {
			break
		}
		say(fmt.Sprintf("the app listens on port %s and not on $PORT, which is %d here: have it read the environment "+
			"variable PORT, pass $(PORT) in the container's args, or set its port as containerPort", numbers(e.Ports), told))
		p.strayed = e.Time
	case replica.Silent:
		say(fmt.Sprintf("not ready: the app has not begun to listen on $PORT, which is %d", told))
	case replica.Listens:
		say(fmt.Sprintf("the app listens on $PORT, which is %d", told))
		p.specific, p.strayed = false, time.Time{}
	case replica.Line, replica.Completed:
	}
	if !p.ending {
		s.recordEvent(r, p, e, said)
	}
	s.publishUnavailable(r)
}

// exited handles the end of a process, or its failure to start, and returns the reason.
func (s *Server) exited(r *revision, p *pod, e replica.Event) (why string) {
	why = fmt.Sprintf("the %s ended: %s", e.Process, e.Status)
	if e.Kind == replica.Failed {
		why = fmt.Sprintf("the %s can't be started", e.Process)
	}
	if probe := p.failedProbe(e.Process); probe != "" {
		why += ", because " + probe
	} else if e.Text != "" {
		why += ": " + e.Text
	}
	s.processEnded(r, p, e.Process)
	if e.RestartIn == 0 { // the replica ends
		if p.ended == "" {
			p.ended = why
		}
		return why
	}
	p.crashes++
	if e.Restarts > 1 {
		why = "CrashLoopBackOff: " + why
	}
	why += fmt.Sprintf("; next start in %v", e.RestartIn)
	if e.Restarts > 1 || e.Kind == replica.Failed { // one failure may be an accident
		p.unavailable = why
	}
	return why
}

// processEnded keeps requests from p until the process runs again.
func (s *Server) processEnded(r *revision, p *pod, process replica.Process) {
	if process == replica.App {
		s.setReady(r, p, false, "")
	}
	s.containerEnded(r, p, process)
}

func numbers(list []int) string {
	text := ""
	for i, n := range list {
		if i > 0 {
			text += ", "
		}
		text += strconv.Itoa(n)
	}
	return text
}
