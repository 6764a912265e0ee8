package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

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
	// Serving reports whether a revision gets requests although neither it is the latest nor a route names it: while the latest
	// isn't ready. Nil: none does.
	Serving func(*Revision) bool
	// Contained returns why an image can't run in a container. Nil: none can.
	Contained func(image string) error
	// HostNetwork: containers can share this machine's network.
	HostNetwork bool
}

// Revision is one version of a service.
type Revision struct {
	Namespace, Name, Service string
	// Generation is that of the Configuration when the revision was made: the number of the service's template.
	Generation int64
	Created    time.Time
	Template   manifest.Template
	Object     map[string]any // spec.template as Kubernetes has it, with Knative's defaults
	Scaling    autoscaler.Spec
	// Command is the argv of the app; nil: its image runs in a container. The same for the others.
	Command  []string
	Init     [][]string
	Sidecars [][]string
}

// Service is the current state of a service.
type Service struct {
	Namespace, Name string
	Pos             manifest.Pos
	Latest          *Revision
	Revisions       []*Revision // all, oldest first
	Traffic         []manifest.Traffic
	Options         manifest.Options // for all revisions
	// Generation of the Configuration: how often the template has changed.
	Generation int64

	history  []*Revision // the revision of each document of the service, in order
	restored bool        // by Restore, without a history
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

// Services returns all services, sorted by name.
func (c *Catalog) Services() []*Service {
	return slices.SortedFunc(maps.Values(c.services), func(a, b *Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// Stored is what lasts of a service from one run to the next.
type Stored struct {
	Namespace, Name string
	Generation      int64
	Latest          string     // the name of the latest revision
	Revisions       []Revision // oldest first: Name, Generation, Created and Template
}

// Restore adds the services of an earlier run, before the first Plan, which keeps those that its documents describe. It
// returns an error for each revision that can't be run any more, and leaves that out.
func (c *Catalog) Restore(all []Stored) error {
	var errs []error
	for _, old := range all {
		s := &Service{Namespace: old.Namespace, Name: old.Name, Generation: old.Generation, restored: true}
		for _, r := range old.Revisions {
			r.Namespace, r.Service, r.Template.Name = old.Namespace, old.Name, r.Name
			if r.Name == generated(old.Name, r.Generation) {
				r.Template.Name = ""
			}
			s.Generation = max(s.Generation, r.Generation)
			if err := c.Complete(&r); err != nil {
				errs = append(errs, fmt.Errorf("revision %s is given up: %w", r.Name, err))
				continue
			}
			s.Revisions = append(s.Revisions, &r)
			if r.Name == old.Latest {
				s.Latest = &r
			}
		}
		c.services[key{old.Namespace, old.Name}] = s
	}
	return errors.Join(errs...)
}

// generated returns the name of a revision whose template has none.
func generated(service string, generation int64) string {
	return fmt.Sprintf("%s-%05d", service, generation)
}

// Plan is a change that has been checked.
type Plan struct {
	catalog  *Catalog
	services map[key]*Service
}

// Commit puts the change into effect. The Catalog must not have changed since Plan.
func (p *Plan) Commit() { p.catalog.services = p.services }

// Plan checks the change of all services to those of docs, and changes nothing. A service that existed before keeps its
// revisions; one that is not in docs is removed with all of them. The error joins a *manifest.Error for each problem.
func (c *Catalog) Plan(docs []manifest.Service) (*Plan, error) {
	final := map[key]int{}
	for i := range docs {
		final[key{docs[i].Namespace, docs[i].Name}] = i
	}
	next := map[key]*Service{}
	var errs []error
	for i := range docs {
		k := key{docs[i].Namespace, docs[i].Name}
		errs = append(errs, c.apply(next, k, &docs[i], final[k] == i))
	}
	for _, s := range next {
		errs = append(errs, s.check())
	}
	errs = append(errs, clashes(next))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for k, s := range next {
		if old := c.services[k]; old != nil && s.Latest != old.Latest && s.Latest.Generation <= old.Generation {
			s.Generation++ // the template of an earlier revision is back
		}
		c.prune(s)
	}
	return &Plan{c, next}, nil
}

// apply adds the next document of a service; final: it is the last one.
func (c *Catalog) apply(next map[key]*Service, k key, doc *manifest.Service, final bool) error {
	s := next[k]
	if s == nil {
		s = &Service{Namespace: doc.Namespace, Name: doc.Name}
		if old := c.services[k]; old != nil {
			s.Revisions, s.Generation = slices.Clone(old.Revisions), old.Generation
		}
		next[k] = s
	}
	s.Pos, s.Traffic, s.Options = doc.Pos, doc.Traffic, doc.Options
	r := c.unchanged(s, doc, final)
	if r == nil {
		var err error
		if r, err = c.add(s, doc); err != nil {
			return err
		}
	}
	s.Latest = r
	s.history = append(s.history, r)
	return nil
}

// add makes the revision that doc describes. As in Knative, the number in a generated name is the generation, which also counts
// revisions with names of their own.
func (c *Catalog) add(s *Service, doc *manifest.Service) (*Revision, error) {
	t := &doc.Template
	r := &Revision{Namespace: doc.Namespace, Service: doc.Name, Created: time.Now(), Template: *t, Object: template(doc)}
	if t.Name != "" && s.Revision(t.Name) != nil {
		return nil, t.NamePos.Errorf("spec.template.metadata.name",
			"revision %s exists with a different spec: give the changed template another name", t.Name)
	}
	if err := c.Complete(r); err != nil {
		return nil, err
	}
	s.Generation++
	for t.Name == "" && s.Revision(generated(s.Name, s.Generation)) != nil { // a template had this name
		s.Generation++
	}
	r.Name = cmp.Or(t.Name, generated(s.Name, s.Generation))
	r.Generation = s.Generation
	s.Revisions = append(s.Revisions, r)
	return r, nil
}

// Complete sets what follows from r's template. The error joins those of its fields.
func (c *Catalog) Complete(r *Revision) error {
	t := &r.Template
	var errs [4]error
	r.Command, errs[0] = c.command(&t.Container)
	r.Sidecars, errs[1] = c.commands(t, t.Sidecars)
	r.Init, errs[2] = c.commands(t, t.Init)
	r.Scaling, errs[3] = c.scaling(t)
	return errors.Join(errs[:]...)
}

// unchanged finds the existing revision of doc: by its name, or else that of the document at the same position, or the
// latest. After Restore positions are not known: then the last document is the latest, and another one may be any.
func (c *Catalog) unchanged(s *Service, doc *manifest.Service, final bool) *Revision {
	if doc.Template.Name != "" {
		if r := s.Revision(doc.Template.Name); r != nil && r.Template.Equal(&doc.Template) {
			return r
		}
		return nil
	}
	old := c.services[key{doc.Namespace, doc.Name}]
	if old == nil {
		return nil
	}
	var candidates []*Revision
	switch place := len(s.history); {
	case old.restored && !final:
		candidates = old.Revisions
	case place < len(old.history):
		candidates = append(candidates, old.history[place])
	}
	for _, r := range append(slices.Clone(candidates), old.Latest) {
		if r != nil && r.Template.Name == "" && r.Template.Equal(&doc.Template) {
			return r
		}
	}
	return nil
}

// maxUnused is how many revisions without a use are kept: Knative's config-gc, min-non-active-revisions. It keeps more of
// them for up to 48 hours.
const maxUnused = 20

// prune removes the oldest revisions without a use.
func (c *Catalog) prune(s *Service) {
	unused := 0
	for _, r := range s.Revisions {
		if c.use(s, r) == "" {
			unused++
		}
	}
	s.Revisions = slices.DeleteFunc(s.Revisions, func(r *Revision) bool {
		if unused <= maxUnused || c.use(s, r) != "" {
			return false
		}
		unused--
		return true
	})
}

// use returns what a revision is needed for, or "".
func (c *Catalog) use(s *Service, r *Revision) string {
	switch {
	case r == s.Latest:
		return "it is the latest of service " + s.Name
	case slices.ContainsFunc(s.Traffic, func(t manifest.Traffic) bool { return t.Revision == r.Name }):
		return "the traffic of service " + s.Name + " names it"
	case slices.Contains(s.history, r):
		return "a document of " + s.Pos.File + " describes it"
	case c.config.Serving != nil && c.config.Serving(r):
		return "it gets the requests of service " + s.Name + " until the latest is ready"
	}
	return ""
}

// Options returns those of a revision: its template's, and otherwise its service's as they are now.
func (c *Catalog) Options(r *Revision) manifest.Options {
	o := r.Template.Options
	if s := c.services[key{r.Namespace, r.Service}]; s != nil {
		o.Watch = cmp.Or(o.Watch, s.Options.Watch)
		o.ClusterNames = o.ClusterNames || s.Options.ClusterNames
		o.Affinity = cmp.Or(o.Affinity, s.Options.Affinity)
		o.AffinityOrder = cmp.Or(o.AffinityOrder, s.Options.AffinityOrder)
	}
	return o
}

// DeleteRevision plans to remove a revision. The error says by what it is in use.
func (c *Catalog) DeleteRevision(namespace, name string) (*Plan, error) {
	for k, s := range c.services {
		r := s.Revision(name)
		if k.namespace != namespace || r == nil {
			continue
		}
		if use := c.use(s, r); use != "" {
			return nil, errors.New(use)
		}
		next := *s
		next.Revisions = slices.DeleteFunc(slices.Clone(s.Revisions), func(other *Revision) bool { return other == r })
		plan := &Plan{catalog: c, services: maps.Clone(c.services)}
		plan.services[k] = &next
		return plan, nil
	}
	return nil, fmt.Errorf("there is no revision %s in namespace %s", name, namespace)
}

// template returns spec.template of a document, with defaults.
func template(doc *manifest.Service) map[string]any {
	object := runtime.DeepCopyJSON(doc.Object)
	manifest.Default(object)
	t, _, _ := unstructured.NestedMap(object, "spec", "template")
	return t
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
		hint := ""
		if t.Pos.File != "" {
			hint = ". To make it, put the Service as it was then before this, in the same file with --- between"
		}
		errs = append(errs, t.Pos.Errorf("spec.traffic", "there is no revision %s; there are: %s%s", t.Revision, strings.Join(names, ", "), hint))
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
