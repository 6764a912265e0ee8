package standalone

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
)

// adopt sets the remarks on manifests that have been applied.
func (s *Server) adopt(set manifest.Set) {
	detail := firstFields
	if s.log.Core().Enabled(zapcore.DebugLevel) {
		detail = eachField
	}
	s.remarks = slices.Concat(set.Skipped, s.remarker(detail).on(set))
	s.adoptObjects(set.Objects)
	s.sources = set.Sources
}

// adoptObjects shows which ConfigMaps and Secrets have changed.
func (s *Server) adoptObjects(next manifest.Objects) {
	for key, o := range next {
		if old := s.declared.objects[key]; old != nil && !sameData(old, o) {
			s.config.Screen.Line(fmt.Sprintf("sluice: %s %s has changed: replicas that start from now on get the new data", o.Kind, o.Name))
		}
	}
}

func sameData(a, b *manifest.Object) bool {
	if len(a.Data) != len(b.Data) {
		return false
	}
	for key, value := range a.Data {
		if other, ok := b.Data[key]; !ok || other != value {
			return false
		}
	}
	return true
}

// remark shows the remarks on the manifests that are not in before.
func (s *Server) remark(before []string) {
	for _, line := range s.remarks {
		if !slices.Contains(before, line) {
			s.config.Screen.Line("sluice: " + line)
		}
	}
}

// retry ends the back-off of a service's revisions: a new manifest may have fixed the failure.
func (s *Server) retry(key serviceKey) {
	for _, r := range s.revisions {
		if r.Namespace == key.namespace && r.Service == key.name {
			r.failures, r.notBefore = 0, time.Time{}
		}
	}
}

// detail is how ignored fields are remarked on.
type detail int

const (
	firstFields detail = iota // the names of the first few; -v has the rest
	allFields                 // the names of all: a client of the API has no -v
	eachField                 // a line for each, with its place and the reason
)

// fewIgnored is how many ignored fields are named.
const fewIgnored = 3

// remarker makes the remarks on manifests.
type remarker struct {
	detail    detail
	cgroups   replica.Cgroups
	contained func(*manifest.Template, *manifest.Container) bool
}

func (s *Server) remarker(d detail) remarker { return remarker{d, s.cgroups, s.catalog.Contained} }

// on returns the lines about ignored fields, and a line for each missing object and for each Service or source with volumes. A limit that
// cgroups enforce is not ignored, nor is what a container is for.
func (r remarker) on(set manifest.Set) []string {
	var lines []string
	notes := map[string][]manifest.Note{}
	var names []string
	add := func(name, namespace string, t *manifest.Template, ignored []manifest.Note) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		for _, n := range ignored {
			if !r.cgroups.Limit(n.Limit) && !(n.Contained && allContained(t, n, r.contained)) {
				notes[name] = append(notes[name], n)
			}
		}
		for _, n := range t.Missing(namespace, set.Objects) {
			where := ""
			if n.File != "" {
				where = n.Pos.String() + ": "
			}
			lines = append(lines, name+": replicas wait for what is missing: "+where+n.Why)
		}
		if places := mountVariables(t, r.contained); len(places) > 0 {
			lines = append(lines, fmt.Sprintf("%s: volumes are not mounted; variables have their directories: %s", name, strings.Join(places, ", ")))
		}
	}
	for i := range set.Services {
		svc := &set.Services[i]
		add(screen.NameOf(svc.Namespace, svc.Name), svc.Namespace, &svc.Template, svc.Ignored)
	}
	for _, key := range slices.SortedFunc(maps.Keys(set.Eventing), compareEventing) {
		e, t := set.Eventing[key], &manifest.Template{}
		if e.ContainerSource != nil {
			t = &e.ContainerSource.Template
		}
		add(string(e.Kind)+" "+screen.NameOf(e.Namespace, e.Name), e.Namespace, t, e.Ignored)
	}
	for _, name := range names {
		lines = append(lines, r.ignored(name, notes[name])...)
	}
	return lines
}

// ignored returns the lines about the ignored fields of one object.
func (r remarker) ignored(name string, notes []manifest.Note) []string {
	var lines, fields []string
	for _, n := range notes {
		lines = append(lines, fmt.Sprintf("%s: ignored here: %s: field %s: %s", name, n.Pos, n.Field, n.Why))
		if f := shortField(n.Field); !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	if r.detail == eachField || len(fields) == 0 {
		return lines
	}
	more := ""
	if r.detail == firstFields {
		if left := len(fields) - fewIgnored; left > 0 {
			more, fields = fmt.Sprintf(", %d more", left), fields[:fewIgnored]
		}
		more += "; -v lists them"
	}
	return []string{name + ": ignored here: " + strings.Join(fields, ", ") + more}
}

// allContained reports whether all containers that n is about run in containers.
func allContained(t *manifest.Template, n manifest.Note, contained func(*manifest.Template, *manifest.Container) bool) bool {
	all := t.All()
	if at := slices.IndexFunc(all, func(c *manifest.Container) bool {
		return strings.HasPrefix(n.Field, strings.TrimSuffix(c.ImagePlace.Field, "image"))
	}); at >= 0 {
		all = all[at : at+1]
	}
	return !slices.ContainsFunc(all, func(c *manifest.Container) bool { return !contained(t, c) })
}

// shortField returns the last part of a field's path: its name, the key of an annotation, or the path within resources.
func shortField(field string) string {
	if _, of, ok := strings.Cut(field, ".resources."); ok {
		return of
	}
	if i := strings.LastIndexByte(field, '['); i >= 0 && strings.HasSuffix(field, "]") {
		return strings.TrimSuffix(field[i+1:], "]")
	}
	return strings.TrimPrefix(path.Ext("."+field), ".")
}

// mountVariables describes the variables of the mounts of all containers that run as processes.
func mountVariables(t *manifest.Template, contained func(*manifest.Template, *manifest.Container) bool) []string {
	var all []string
	for _, c := range t.All() {
		if len(c.Mounts) == 0 || contained(t, c) {
			continue
		}
		for _, m := range c.Mounts {
			if v := "$" + mountVariable(m.Path) + " for " + m.Path; !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	return all
}

// mountVariable returns the name of the variable with the directory that would be mounted at path.
func mountVariable(path string) string {
	return "SLUICE_MOUNT" + strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '_'
	}, strings.TrimSuffix(path, "/"))
}
