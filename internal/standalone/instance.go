package standalone

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/containers"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/player"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// instance is a replica as its containers see it: its identity, and the directories of its volumes.
type instance struct {
	*catalog.Revision
	name, uid string
	ports     ports
	self      string              // path of this binary
	dir       string              // of its volumes; "": it has none
	objects   manifest.Objects    // as of its start
	engine    *containers.Engine  // for images; nil: none is needed
	rebound   bool                // the app listens on its containerPort, in whose place it gets ports.app
	proxy     string              // for the names of a cluster; "": it uses none
	sink      func(string) string // of K_SINK, the URL that a process reaches; nil: it is the same
	source    bool                // it is a ContainerSource's, which isn't a service
}

func lookupIn(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// command returns the command of a container, with the environment and the arguments that it would have in Kubernetes. Without
// argv it runs the image.
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
func (i *instance) command(c *manifest.Container, argv []string, app bool) (replica.Command, error) {
	vars := map[string]string{}
	lookup := lookupIn(vars)
	for _, from := range c.EnvFrom {
		if o := i.objects.Of(i.Namespace, &from.Source); o != nil {
			for key, value := range o.Data {
				vars[from.Prefix+key] = value
			}
		}
	}
	port := i.ports.app
	if argv == nil || i.rebound {
		port = c.Port // which is i.ports.app outside
	}
	if i.source {
		app = false // it has no port
	} else {
		i.platform(vars, port, app)
	}
	for _, v := range c.Env { // a variable may refer to earlier ones
		if v.From == nil {
			vars[v.Name] = catalog.Expand(v.Value, lookup)
		} else if value, ok := i.value(v.From, c); ok {
			vars[v.Name] = value
		}
	}
	var errs []error
	for _, m := range c.Mounts {
		place := m.Path
		if argv != nil {
			var err error
			place, err = i.place(m, lookup)
			errs = append(errs, err)
		}
		vars[mountVariable(m.Path)] = place
	}
	if url, ok := vars[knative.EnvSink]; ok && i.sink != nil && (argv != nil || i.source) {
		vars[knative.EnvSink] = i.sink(url)
	}
	if argv == nil {
		return i.container(c, vars)
	}
	i.setProxy(vars)
	if argv[0] == player.Name {
		i.setPlayer(vars)
	}
	cmd := replica.Command{Dir: c.WorkingDir, Limits: limitsOf(c)}
	for _, v := range os.Environ() {
		if app || !strings.HasPrefix(v, "PORT=") { // PORT is for the app only
			cmd.Env = append(cmd.Env, v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		cmd.Env = append(cmd.Env, name+"="+vars[name]) // the last of two equal names counts
	}
	for _, arg := range argv {
		cmd.Args = append(cmd.Args, catalog.Expand(arg, lookup))
	}
	cmd.Path = cmd.Args[0]
	if isSample(cmd.Path) {
		cmd.Path = i.self
	}
	return cmd, errors.Join(errs...)
}

// binds returns the port in whose place the app gets another; 0: none.
func (i *instance) binds() int {
	if i.rebound {
		return i.Template.Container.Port
	}
	return 0
}

// runnable returns why a replica can't run a program in dir, which is looked up as by a shell; nil if it can.
func runnable(program, dir string) error {
	if info, err := os.Stat(cmp.Or(dir, ".")); err != nil || !info.IsDir() {
		place := ""
		if here, err := os.Getwd(); err == nil && !filepath.IsAbs(dir) {
			place = " below " + here + ", where the quickstart was started"
		}
		return fmt.Errorf("its workingDir, %s, is no directory%s", dir, place)
	}
	if isSample(program) {
		return nil
	}
	if strings.ContainsRune(program, filepath.Separator) && !filepath.IsAbs(program) {
		var err error
		if program, err = filepath.Abs(filepath.Join(dir, program)); err != nil {
			return err
		}
	}
	_, err := exec.LookPath(program)
	if err == nil {
		return nil
	}
	why := errors.Unwrap(err) // err repeats the name
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		why = e.Err
	}
	return fmt.Errorf("the program %s can't be run: %w", program, why)
}

// platform sets the variables of Knative's runtime contract, which override those of envFrom.
func (i *instance) platform(vars map[string]string, port int, app bool) {
	vars["K_SERVICE"], vars["K_CONFIGURATION"], vars["K_REVISION"] = i.Service, i.Service, i.Name
	if app {
		vars["PORT"] = strconv.Itoa(port)
	}
}

// value returns the value of s; ok is false if an optional one is missing.
func (i *instance) value(s *manifest.Source, c *manifest.Container) (value string, ok bool) {
	switch s.Kind {
	case manifest.FromField:
		return i.field(s.Path), true
	case manifest.FromResource:
		return i.resource(s, c), true
	case manifest.FromConfigMap, manifest.FromSecret:
	}
	o := i.objects.Of(i.Namespace, s)
	if o == nil {
		return "", false
	}
	value, ok = o.Data[s.Key]
	return value, ok
}

// field returns a field of the replica, as in Kubernetes' downward API.
// https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
func (i *instance) field(path string) string {
	if labels, key, ok := manifest.LabelOrAnnotation(path); ok {
		if labels {
			return i.labels()[key]
		}
		return i.Template.Annotation(key)
	}
	switch path {
	case "metadata.name":
		return i.name
	case "metadata.namespace":
		return i.Namespace
	case "metadata.uid":
		return i.uid
	case "metadata.labels":
		return lines(i.labels())
	case "metadata.annotations":
		return lines(values(i.Template.Annotations))
	case "spec.serviceAccountName":
		if i.Template.ServiceAccount != "" {
			return i.Template.ServiceAccount
		}
		return "default"
	case "spec.nodeName":
		return nodeName()
	}
	return replicaHost // status.hostIP, .hostIPs, .podIP, .podIPs
}

// nodeName returns the name of this machine.
func nodeName() string {
	host, _ := os.Hostname()
	return host
}

// labels returns the labels that Knative sets on a pod, and the template's own.
func (i *instance) labels() map[string]string {
	if i.source {
		return values(i.Template.Labels)
	}
	all := map[string]string{
		"serving.knative.dev/service": i.Service, "serving.knative.dev/configuration": i.Service,
		"serving.knative.dev/revision": i.Name, "app": i.Name,
	}
	maps.Copy(all, values(i.Template.Labels))
	return all
}

func values(all []manifest.Annotation) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		m[a.Key] = a.Value
	}
	return m
}

// lines formats a map as in a file of the downward API: key="value", sorted.
func lines(all map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s=%q\n", key, all[key])
	}
	return b.String()
}

// volume returns the directory of v.
func (i *instance) volume(v *manifest.Volume) string {
	if v.HostPath != "" {
		return v.HostPath
	}
	return filepath.Join(i.dir, v.Name)
}

// volumeOf returns the volume of m.
func (i *instance) volumeOf(m manifest.Mount) *manifest.Volume {
	at := slices.IndexFunc(i.Template.Volumes, func(v manifest.Volume) bool { return v.Name == m.Volume })
	return &i.Template.Volumes[at] // the manifest has been checked
}

// place returns the path of what m would mount.
func (i *instance) place(m manifest.Mount, lookup func(string) (string, bool)) (string, error) {
	v := i.volumeOf(m)
	sub := m.SubPath
	if m.SubPathExpr {
		if sub = catalog.Expand(sub, lookup); !filepath.IsLocal(sub) {
			return "", m.Place.Errorf("subPathExpr should be a path within the volume, is %q", sub)
		}
	}
	place := filepath.Join(i.volume(v), sub)
	if sub != "" && len(v.Parts) == 0 && v.HostPath == "" {
		return place, os.MkdirAll(place, 0o755)
	}
	return place, nil
}

// containers creates the volumes and returns the commands of the app, of init containers (before) and of sidecars
// (beside). After an error it removes the volumes.
func (i *instance) containers() (app replica.Command, before, beside []replica.Container, err error) {
	if err := i.makeVolumes(); err != nil {
		return app, nil, nil, errors.Join(err, i.remove())
	}
	t := &i.Template
	app, err = i.command(&t.Container, i.Command, true)
	errs := []error{err}
	all := func(of []manifest.Container, argv [][]string, process func(*manifest.Container) replica.Process) (list []replica.Container) {
		for at := range of {
			c, err := i.command(&of[at], argv[at], false)
			errs = append(errs, err)
			list = append(list, replica.Container{Process: process(&of[at]), Command: c, Stays: of[at].Stays})
		}
		return list
	}
	before, beside = all(t.Init, i.Init, initProcess), all(t.Sidecars, i.Sidecars, sidecarProcess)
	if err := errors.Join(errs...); err != nil {
		return app, nil, nil, errors.Join(err, i.remove())
	}
	return app, before, beside, nil
}

func initProcess(c *manifest.Container) replica.Process {
	return replica.Process("init container " + c.Name)
}

func sidecarProcess(c *manifest.Container) replica.Process {
	return replica.Process("sidecar " + c.Name)
}

// remove deletes the volumes.
func (i *instance) remove() error {
	if i.dir == "" {
		return nil
	}
	return os.RemoveAll(i.dir)
}

// makeVolumes creates the directories and files of the volumes in a new directory.
func (i *instance) makeVolumes() error {
	if len(i.Template.Volumes) == 0 {
		return nil
	}
	var err error
	if i.dir, err = os.MkdirTemp("", "sluice-"+i.name+"-"); err != nil {
		return err
	}
	for at := range i.Template.Volumes {
		v := &i.Template.Volumes[at]
		if v.HostPath == "" {
			if err := os.Mkdir(i.volume(v), 0o755); err != nil {
				return err
			}
			// As in Kubernetes: a container may have another user. Nobody else can enter i.dir.
			if err := os.Chmod(i.volume(v), 0o777); err != nil {
				return err
			}
		}
		for _, p := range v.Parts {
			if err := i.fill(i.volume(v), p); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill writes the files of one part of a volume.
func (i *instance) fill(dir string, p manifest.VolumePart) error {
	items := p.Items
	var o *manifest.Object
	if p.Source != nil {
		if o = i.objects.Of(i.Namespace, p.Source); o == nil {
			return nil // it is optional
		}
		if len(items) == 0 {
			for key := range o.Data {
				items = append(items, manifest.VolumeItem{Key: key, Path: key})
			}
		}
	}
	for _, item := range items {
		var text string
		if o != nil {
			value, ok := o.Data[item.Key]
			if !ok {
				continue // it is optional
			}
			text = value
		} else {
			text, _ = i.value(item.Source, &i.Template.Container)
		}
		mode := os.FileMode(p.Mode)
		if item.Mode != 0 {
			mode = os.FileMode(item.Mode)
		}
		if err := writeFile(filepath.Join(dir, item.Path), text, mode); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file with exactly that mode: chmod ignores the umask.
func writeFile(path, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
