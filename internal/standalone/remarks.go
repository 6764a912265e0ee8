package standalone

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// adopt takes the ConfigMaps and Secrets of manifests that have been applied, and what there is to say of them.
func (s *Server) adopt(set manifest.Set) {
	s.remarks = slices.Concat(set.Skipped, remarksOn(set, s.log.Core().Enabled(zapcore.DebugLevel), s.cgroups))
	for key, o := range set.Objects {
		if old := s.objects[key]; old != nil && !sameData(old, o) {
			s.config.Screen.Line(fmt.Sprintf("sluice: %s %s has changed: replicas that start from now on get what it holds", o.Kind, o.Name))
		}
	}
	s.objects, s.sources = set.Objects, set.Sources
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

// remark says what is to be said of the manifests and was not said before.
func (s *Server) remark(before []string) {
	for _, line := range s.remarks {
		if !slices.Contains(before, line) {
			s.config.Screen.Line("sluice: " + line)
		}
	}
}

// retry has replicas start at once that were put off: the manifests may have mended what they failed of.
func (s *Server) retry() {
	for _, r := range s.revisions {
		r.failures, r.notBefore = 0, time.Time{}
	}
}

// fewIgnored is how many ignored fields are named.
const fewIgnored = 3

// remarksOn is a line for each service with fields that have no meaning here, or for each such field; and what is missing.
// Limits that hold in cgroups have one.
func remarksOn(set manifest.Set, verbose bool, cgroups replica.Cgroups) []string {
	var lines []string
	notes := map[string][]manifest.Note{}
	var names []string
	for i := range set.Services {
		svc := &set.Services[i]
		name := svc.Name
		if svc.Namespace != "default" {
			name = svc.Namespace + "/" + name
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		for _, n := range svc.Ignored {
			if !cgroups.Limit(n.Limit) {
				notes[name] = append(notes[name], n)
			}
		}
		for _, n := range svc.Template.Missing(svc.Namespace, set.Objects) {
			lines = append(lines, fmt.Sprintf("%s: replicas wait for what is missing: %s: %s", name, n.Place, n.Why))
		}
		if places := mountVariables(&svc.Template); len(places) > 0 {
			lines = append(lines, fmt.Sprintf("%s: volumes are not mounted; their places are in variables: %s", name, strings.Join(places, ", ")))
		}
	}
	for _, name := range names {
		if verbose {
			for _, n := range notes[name] {
				lines = append(lines, fmt.Sprintf("%s: ignored here: %s: field %s: %s", name, n.Pos, n.Field, n.Why))
			}
			continue
		}
		if line := ignoredLine(notes[name]); line != "" {
			lines = append(lines, name+": ignored here: "+line)
		}
	}
	return lines
}

// ignoredLine names the first few.
func ignoredLine(notes []manifest.Note) string {
	var fields []string
	for _, n := range notes {
		if f := shortField(n.Field); !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	if len(fields) == 0 {
		return ""
	}
	more := ""
	if left := len(fields) - fewIgnored; left > 0 {
		more, fields = fmt.Sprintf(", %d more", left), fields[:fewIgnored]
	}
	return strings.Join(fields, ", ") + more + "; -v lists them"
}

// shortField is the last part of a field's path: its name, the key of an annotation, or what stands in resources.
func shortField(field string) string {
	if _, of, ok := strings.Cut(field, ".resources."); ok {
		return of
	}
	if i := strings.LastIndexByte(field, '['); i >= 0 && strings.HasSuffix(field, "]") {
		return strings.TrimSuffix(field[i+1:], "]")
	}
	return strings.TrimPrefix(path.Ext("."+field), ".")
}

// mountVariables are the variables of all containers' mounts, and what each stands for.
func mountVariables(t *manifest.Template) []string {
	var all []string
	for _, c := range t.All() {
		for _, m := range c.Mounts {
			if v := "$" + mountVariable(m.Path) + " for " + m.Path; !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	return all
}

// mountVariable is the variable that holds the place of what would be mounted at path.
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
