package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
)

// Config of a Catalog.
type Config struct {
	// Scaling has the defaults that annotations override.
	Scaling autoscaler.Defaults
	// Images has the argv for each image reference. A reference without a tag applies to all tags.
	Images map[string][]string
	// Runnable returns why a program can't be run in a directory; "" is the working directory. Nil: every program can.
	Runnable func(program, dir string) error
}

// Revision is one version of a service.
type Revision struct {
	Namespace, Name, Service string
	Template                 manifest.Template
	Scaling                  autoscaler.Spec
	Command                  []string // argv of the app
	Init, Sidecars           [][]string
}

// Service is the current state of a service.
type Service struct {
	Namespace, Name string
	Pos             manifest.Pos
	Latest          *Revision
	Revisions       []*Revision // all, oldest first
	Traffic         []manifest.Traffic

	made    int         // number of revisions with generated names
	history []*Revision // the revision of each document of the service, in order
}

// Revision returns the revision of that name; nil if there is none.
func (s *Service) Revision(name string) *Revision {
	i := slices.IndexFunc(s.Revisions, func(r *Revision) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return s.Revisions[i]
}

// Catalog has all services. Make one with New.
type Catalog struct {
	config   Config
	services map[key]*Service
}

type key struct{ namespace, name string }

// New returns an empty Catalog.
func New(c Config) *Catalog { return &Catalog{config: c, services: map[key]*Service{}} }

// Services returns those of the last successful Apply, sorted by name.
func (c *Catalog) Services() []*Service {
	return slices.SortedFunc(maps.Values(c.services), func(a, b *Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// Apply replaces all services by those of docs. A service that existed before keeps its revisions; one that is not in docs
// is removed with all of them. The error joins a *manifest.Error for each problem; in that case nothing has changed.
func (c *Catalog) Apply(docs []manifest.Service) error {
	next := map[key]*Service{}
	var errs []error
	for i := range docs {
		errs = append(errs, c.apply(next, &docs[i]))
	}
	for _, s := range next {
		errs = append(errs, s.check())
	}
	errs = append(errs, clashes(next))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c.services = next
	return nil
}

// apply adds the next document of a service.
func (c *Catalog) apply(next map[key]*Service, doc *manifest.Service) error {
	k := key{doc.Namespace, doc.Name}
	s := next[k]
	if s == nil {
		s = &Service{Namespace: doc.Namespace, Name: doc.Name}
		if old := c.services[k]; old != nil {
			s.Revisions, s.made = slices.Clone(old.Revisions), old.made
		}
		next[k] = s
	}
	s.Pos, s.Traffic = doc.Pos, doc.Traffic
	r, err := c.revision(s, doc)
	if err != nil {
		return err
	}
	s.Latest = r
	s.history = append(s.history, r)
	return nil
}

// revision finds or makes the revision that doc describes.
func (c *Catalog) revision(s *Service, doc *manifest.Service) (*Revision, error) {
	t := &doc.Template
	if r := c.unchanged(s, doc); r != nil {
		return r, nil
	}
	r := &Revision{Namespace: doc.Namespace, Service: doc.Name, Name: t.Name, Template: *t}
	if t.Name != "" && s.Revision(t.Name) != nil {
		return nil, t.NamePos.Errorf("spec.template.metadata.name",
			"revision %s exists with a different spec: give the changed template another name", t.Name)
	}
	for r.Name == "" || s.Revision(r.Name) != nil && t.Name == "" {
		s.made++
		r.Name = fmt.Sprintf("%s-%05d", s.Name, s.made)
	}
	var errs [4]error
	r.Command, errs[0] = c.command(&t.Container)
	r.Sidecars, errs[1] = c.commands(t.Sidecars)
	r.Init, errs[2] = c.commands(t.Init)
	r.Scaling, errs[3] = c.scaling(t)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	s.Revisions = append(s.Revisions, r)
	return r, nil
}

// unchanged finds the existing revision of doc: by its name, or else that of the document at the same position, or the
// latest.
func (c *Catalog) unchanged(s *Service, doc *manifest.Service) *Revision {
	if doc.Template.Name != "" {
		r := s.Revision(doc.Template.Name)
		if r != nil && r.Template.Name != "" && r.Template.Equal(&doc.Template) {
			return r
		}
		return nil
	}
	old := c.services[key{doc.Namespace, doc.Name}]
	if old == nil {
		return nil
	}
	candidates := []*Revision{old.Latest}
	if place := len(s.history); place < len(old.history) {
		candidates = []*Revision{old.history[place], old.Latest}
	}
	for _, r := range candidates {
		if r.Template.Name == "" && r.Template.Equal(&doc.Template) {
			return r
		}
	}
	return nil
}

func (c *Catalog) scaling(t *manifest.Template) (autoscaler.Spec, error) {
	var notes []autoscaler.Annotation
	for _, a := range t.Scaling() {
		notes = append(notes, autoscaler.Annotation{Key: a.Key, Value: a.Value})
	}
	spec, err := autoscaler.Parse(c.config.Scaling, t.ContainerConcurrency, notes)
	e, ok := errors.AsType[*autoscaler.AnnotationError](err)
	if !ok {
		return spec, err
	}
	pos := t.NamePos
	for _, a := range t.Annotations {
		if a.Key == e.Key {
			pos = a.Pos
		}
	}
	return spec, pos.Errorf("spec.template.metadata.annotations["+e.Key+"]", "%s", e.Why)
}

// check validates traffic that names revisions.
func (s *Service) check() error {
	var errs []error
	for _, t := range s.Traffic {
		if t.Revision == "" || s.Revision(t.Revision) != nil {
			continue
		}
		var names []string
		for _, r := range s.Revisions {
			names = append(names, r.Name)
		}
		errs = append(errs, t.Pos.Errorf("spec.traffic", "there is no revision %s; there are: %s. Revisions of an earlier "+
			"run aren't kept: put the Service as it made that one before this, in the same file with --- between", t.Revision, strings.Join(names, ", ")))
	}
	return errors.Join(errs...)
}

// clashes finds revisions of different services with the same name, which would have the same host.
func clashes(services map[key]*Service) error {
	owner := map[key]*Service{}
	var errs []error
	for _, s := range services {
		for _, r := range s.Revisions {
			k := key{s.Namespace, r.Name}
			if other := owner[k]; other != nil {
				errs = append(errs, s.Pos.Errorf("", "revision %s belongs to service %s too", r.Name, other.Name))
			}
			owner[k] = s
		}
	}
	return errors.Join(errs...)
}
