package containers

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Container is what to run. The zero value of a field is the image's or the engine's default.
type Container struct {
	Name, Image string
	Host        string // of the replica, seen from within
	Labels      map[string]string
	Env         map[string]string
	// Command and Args are as in Kubernetes: Command replaces the image's entrypoint and its arguments, Args the arguments.
	Command, Args []string
	Dir           string
	User          string // UID or UID:GID
	ReadOnly      bool   // the root file system
	NeverPull     bool
	Mounts        []Mount
	Memory        int64         // limit in bytes
	CPU           int64         // limit in thousandths of a CPU
	Grace         time.Duration // from SIGTERM to SIGKILL if another than us stops it
	Publish       []Port
	// Network is HostNetwork, NetworkOf another container, or "": one of its own.
	Network string
	// Shared: others have its network. It can only be removed after them, and not by the engine when it ends.
	Shared bool
}

// HostNetwork is this machine's.
const HostNetwork = "host"

// NetworkOf is that of a container, which has to run.
func NetworkOf(name string) string { return "container:" + name }

// Port is a port of the container that is published on Host:Local.
type Port struct {
	Host          string
	Local, Inside int
}

// Mount is a directory or file of this machine, at a path of the container.
type Mount struct {
	Source, Path string
	ReadOnly     bool
	Own          bool // may be labelled for containers, where SELinux asks for that
}

// Run returns the command line that runs c in the foreground, and the variables that it needs beside the environment of
// this process. The values of c.Env are in the variables, where other users of the machine don't see them; except those that
// the engine would take for its own.
func (e *Engine) Run(c Container) (argv, env []string) {
	argv = []string{e.path, "run"}
	add := func(given bool, args ...string) {
		if given {
			argv = append(argv, args...)
		}
	}
	add(!c.Shared, "--rm")
	add(true, "--name", c.Name, "--log-driver", "none", "--label", Label+"="+e.owner)
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		add(true, "--label", key+"="+c.Labels[key])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if forEngine(name) {
			add(true, "--env", name+"="+c.Env[name])
			continue
		}
		add(true, "--env", name)
		env = append(env, name+"="+c.Env[name])
	}
	add(c.Host != "" && (c.Network == "" || e.name == Podman), "--hostname", c.Host) // in docker it comes with the network
	add(c.Network != "", "--network", c.Network)
	for _, p := range c.Publish {
		add(true, "--publish", fmt.Sprintf("%s:%d:%d", p.Host, p.Local, p.Inside))
	}
	for _, m := range c.Mounts {
		add(true, "--volume", m.option())
	}
	add(c.Dir != "", "--workdir", c.Dir)
	add(c.User != "", "--user", c.User)
	add(c.ReadOnly, "--read-only")
	add(c.ReadOnly && e.name == Podman, "--read-only-tmpfs=false") // as in Kubernetes, and in docker
	add(c.NeverPull, "--pull", "never")
	add(c.Memory > 0, "--memory", strconv.FormatInt(c.Memory, 10))
	add(c.CPU > 0, "--cpus", strconv.FormatFloat(float64(c.CPU)/1000, 'f', -1, 64))
	add(c.Grace > 0, "--stop-timeout", strconv.Itoa(int(c.Grace/time.Second)))
	rest := c.Args
	if len(c.Command) > 0 {
		add(true, "--entrypoint", c.Command[0])
		rest = slices.Concat(c.Command[1:], c.Args)
	}
	return slices.Concat(argv, []string{c.Image}, rest), env
}

func (m Mount) option() string {
	options := "rw"
	if m.ReadOnly {
		options = "ro"
	}
	if m.Own {
		options += ",z"
	}
	return m.Source + ":" + m.Path + ":" + options
}

// plain is the name of a variable that can be passed on by its name alone; podman takes others, such as A*, for patterns.
var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// settings are variables that engines, or the libraries in them, read; those that end in _ are the beginnings of names.
var settings = []string{
	"BUILDAH_", "CONTAINER_", "CONTAINERS_", "DBUS_", "DOCKER_", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "HOME", "LD_", "LISTEN_",
	"NO_COLOR", "NOTIFY_", "PATH", "PODMAN_", "REGISTRY_", "SSL_", "STORAGE_", "TMPDIR", "USER", "XDG_",
}

// forEngine reports whether a variable in the engine's environment could change what the engine does.
func forEngine(name string) bool {
	_, set := os.LookupEnv(name)
	return set || !plain.MatchString(name) || strings.HasSuffix(strings.ToUpper(name), "_PROXY") ||
		slices.ContainsFunc(settings, func(s string) bool { return name == s || strings.HasSuffix(s, "_") && strings.HasPrefix(name, s) })
}
