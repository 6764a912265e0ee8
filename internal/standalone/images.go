package standalone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/containers"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// engines finds the container engine when an image first needs one: that takes time, and most quickstarts need none. It
// belongs to one goroutine.
type engines struct {
	choice containers.Choice
	engine *containers.Engine // nil: there is none
	err    error              // why
	again  time.Time          // when to look for one again
}

// askEngines is the pause after which an engine is looked for again: somebody may have started it.
const askEngines = 10 * time.Second

// find returns the engine. It may block while it looks for one.
func (e *engines) find() (*containers.Engine, error) {
	if e.engine == nil && !time.Now().Before(e.again) {
		e.engine, e.err = containers.Find(e.choice)
		e.again = time.Now().Add(askEngines)
	}
	return e.engine, e.err
}

// contained is the catalog's Contained.
func (e *engines) contained(image string) error {
	if strings.HasPrefix(image, "-") || strings.ContainsFunc(image, func(c rune) bool { return c <= ' ' }) {
		return errors.New("that is no reference of an image")
	}
	_, err := e.find()
	return err
}

// isContainer reports whether a command runs an image.
func isContainer(c replica.Command) bool { return len(c.After) > 0 }

// imagesOf returns the containers of r whose images run in containers.
func imagesOf(r *catalog.Revision) []*manifest.Container {
	var all []*manifest.Container
	for at, argv := range r.Init {
		if argv == nil {
			all = append(all, &r.Template.Init[at])
		}
	}
	if r.Command == nil {
		all = append(all, &r.Template.Container)
	}
	for at, argv := range r.Sidecars {
		if argv == nil {
			all = append(all, &r.Template.Sidecars[at])
		}
	}
	return all
}

// ownerOf returns the container that publishes the ports of a replica of r, whose app is a container: the first of those that
// stay. Others share its network if there are sidecars.
func ownerOf(r *catalog.Revision) (owner *manifest.Container, process replica.Process, shared bool) {
	for at := range r.Template.Init {
		if c := &r.Template.Init[at]; c.Stays {
			return c, initProcess(c), true
		}
	}
	return &r.Template.Container, replica.App, len(r.Template.Sidecars) > 0
}

// network is what the supervisor has to know of the network that containers share.
func (i *instance) network() replica.Network {
	owner, process, shared := ownerOf(i.Revision)
	if i.Command != nil || !shared || i.source {
		return replica.Network{}
	}
	return replica.Network{Process: process, Runs: i.engine.Runs(containerName(i.name, owner))}
}

// connect sets the network of a container, and reports whether that is another's. What runs before the one that others share has
// one of its own.
func (i *instance) connect(spec *containers.Container, c *manifest.Container) (joins bool) {
	owner, _, shared := ownerOf(i.Revision)
	all := i.Template.All()
	switch {
	case i.source: // its sink is on this machine, and it gets no requests
		spec.Network = containers.HostNetwork
	case i.Command != nil:
		if i.Template.Beside(c) {
			spec.Network = containers.HostNetwork
		}
	case c == owner:
		spec.Shared = shared
		spec.Publish = []containers.Port{{Host: replicaHost, Local: i.ports.app, Inside: i.Template.Container.Port}}
		for _, inside := range slices.Sorted(maps.Keys(i.ports.published)) {
			spec.Publish = append(spec.Publish, containers.Port{Host: replicaHost, Local: i.ports.published[inside], Inside: inside})
		}
	case slices.Index(all, c) > slices.Index(all, owner):
		spec.Network = containers.NetworkOf(containerName(i.name, owner))
		return true
	}
	return false
}

// probedPorts returns the ports of r's containers, except the app's, that are probed from outside.
func probedPorts(r *catalog.Revision) []int {
	if r.Command != nil {
		return nil // they are this machine's
	}
	var ports []int
	for _, c := range r.Template.All() {
		for _, p := range []*manifest.Probe{&c.Probe, c.Liveness, c.Startup} {
			if p != nil && p.Exec == nil && p.Host == "" && p.Port > 0 && !slices.Contains(ports, p.Port) {
				ports = append(ports, p.Port)
			}
		}
	}
	return ports
}

// maxEarly is how many revisions may have images pulled at a time without a request for them. A kubelet pulls one after the other.
const maxEarly = 2

// fetched reports whether the images of r are here. If not, it pulls them on a goroutine of its own, then launches r's
// replicas.
func (s *Server) fetched(r *revision) bool {
	if r.pulled || len(r.images) == 0 {
		return true
	}
	if r.pulling || time.Now().Before(r.notBefore) || r.desired == 0 && s.pulling >= maxEarly {
		return false
	}
	r.pulling = true
	s.pulling++
	engine, _ := s.engines.find() // the catalog has found it
	progress := func(line string) { s.config.Screen.Line(r.Name + ": " + line) }
	if r.unpulled != "" { // it was shown before, and the result is shown again
		progress = func(string) {}
	}
	s.tasks.Go(func() {
		err := s.pull(engine, r, progress)
		s.post(func() {
			r.pulling, r.pulled, r.unpulled = false, err == nil, ""
			s.pulling--
			switch {
			case s.revisions[r.id] != r:
			case err != nil:
				r.unpulled = err.Error()
				s.failed(r, r.unpulled)
			default:
				r.forgive()
				s.warmed(r)
				s.converge(r)
			}
			for _, other := range s.revisions {
				s.fetchEarly(other)
			}
		})
	})
	return false
}

// fetchEarly looks for the images of a service's newest revision before there are requests, as a cluster does.
func (s *Server) fetchEarly(r *revision) {
	if r.latest && !r.warm && !s.ending {
		s.fetched(r)
	}
}

// pull pulls the images of r that aren't here, or that have to be pulled always, until the server ends.
func (s *Server) pull(e *containers.Engine, r *revision, progress func(string)) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	s.tasks.Go(func() {
		select {
		case <-s.stopped:
			cancel()
		case <-done:
		}
	})
	for _, c := range r.images {
		if err := e.Pull(ctx, c.Image, c.PullPolicy, progress); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what killed quickstarts have left, if an engine is in use.
func (s *Server) sweep(ctx context.Context) {
	if s.engines.engine == nil {
		return
	}
	e := s.engines.engine
	s.tasks.Go(func() {
		if err := e.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.config.Screen.Line(fmt.Sprintf("sluice: containers of ended quickstarts can't be removed: %v", err))
		}
	})
}

// containerName returns the name of a container of a replica.
func containerName(pod string, c *manifest.Container) string { return pod + "-" + c.Name }

// container returns the command that runs a container's image, with the environment vars.
func (i *instance) container(c *manifest.Container, vars map[string]string) (replica.Command, error) {
	lookup := lookupIn(vars)
	expand := func(all []string) []string {
		var done []string
		for _, s := range all {
			done = append(done, catalog.Expand(s, lookup))
		}
		return done
	}
	limits := limitsOf(c)
	spec := containers.Container{
		Name: containerName(i.name, c), Image: c.Image, Host: i.name, Env: vars,
		Labels: map[string]string{
			"dev.sluice.namespace": i.Namespace, "dev.sluice.service": i.Service, "dev.sluice.revision": i.Name, "dev.sluice.pod": i.name,
		},
		Command: expand(c.Command), Args: expand(c.Args), Dir: c.WorkingDir,
		User: userOf(c.Security, i.Template.Security), ReadOnly: c.Security.ReadOnly, NeverPull: c.PullPolicy == "Never",
		Memory: limits.Memory, CPU: limits.CPU, Grace: graceOf(&i.Template),
	}
	joins := i.connect(&spec, c)
	var errs []error
	for _, m := range c.Mounts {
		source, err := i.place(m, lookup)
		errs = append(errs, err)
		if source, err = filepath.Abs(source); err != nil { // a relative path would be the name of a volume
			errs = append(errs, err)
		}
		v := i.volumeOf(m)
		spec.Mounts = append(spec.Mounts, containers.Mount{
			Source: source, Path: m.Path, ReadOnly: m.ReadOnly || len(v.Parts) > 0, Own: v.HostPath == "",
		})
	}
	argv, env := i.engine.Run(spec)
	return replica.Command{
		Path: argv[0], Args: argv, Env: slices.Concat(os.Environ(), env), After: i.engine.Remove(spec.Name), Joins: joins,
	}, errors.Join(errs...)
}

// userOf returns the user, and the group, of a container as podman and docker take them; "": the image's.
func userOf(own, pods manifest.Security) string {
	user, group := cmp.Or(own.User, pods.User), cmp.Or(own.Group, pods.Group)
	switch {
	case user == nil:
		return ""
	case group == nil:
		return strconv.Itoa(*user)
	}
	return fmt.Sprintf("%d:%d", *user, *group)
}
