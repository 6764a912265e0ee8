package manifest

import (
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// Limits and defaults of Knative's API (its "Knative Serving API Specification" and config-defaults).
const (
	apiVersion         = "serving.knative.dev/v1"
	defaultNamespace   = "default"
	defaultTimeout     = 300 * time.Second
	maxTimeoutSeconds  = 600
	maxConcurrency     = 1000
	maxLabel           = 63  // RFC 1123 §2.1
	maxName            = 253 // of objects that are not part of host names: Kubernetes' "Object Names and IDs"
	latestRevisionText = "latestRevision: true"
)

var (
	label     = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)                                      // RFC 1035 §2.3.1
	label1123 = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)                                   // RFC 1123 §2.1: may begin with a digit
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`) // labels with dots
)

var serviceTable = newTable("Service",
	[]field[Service]{
		{name: "apiVersion", note: apiVersion, read: func(r *reader, n node, _ *Service) { r.text(n) }},
		{name: "kind", note: "`Service`", read: func(r *reader, n node, _ *Service) { r.text(n) }},
		{name: "metadata", note: "see metadata", read: readServiceMetadata},
		{name: "spec", note: "see ServiceSpec", read: func(r *reader, n node, s *Service) {
			readObject(r, n, serviceSpecTable, s)
			r.hasSpec = true
			if n.Kind == yaml.MappingNode && !r.hasTemplate {
				r.errorf(node{n.Node, join(n.path, "template")}, "missing")
			}
		}},
	},
	recorded[Service]("what a cluster found", "status"),
)

// metadata of a document, or of a template.
type metadata struct {
	nameAt              node
	namespace           string
	labels, annotations node
}

var metadataTable = newTable("metadata",
	[]field[metadata]{
		{name: "name", note: "a label of RFC 1035; a template's is the revision's", read: func(_ *reader, n node, m *metadata) { m.nameAt = n }},
		{name: "namespace", note: "part of host names; without one it is `default`", read: func(r *reader, n node, m *metadata) { m.namespace = r.label(n, label1123) }},
		{name: "labels", note: "for the downward API; those of Knative below", read: func(_ *reader, n node, m *metadata) { m.labels = n }},
		{name: "annotations", note: "for the downward API; those of Knative below", read: func(_ *reader, n node, m *metadata) { m.annotations = n }},
	},
	recorded[metadata]("written by a cluster", "generateName", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
		"deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences", "finalizers", "managedFields", "clusterName"),
)

func readServiceMetadata(r *reader, n node, s *Service) {
	var m metadata
	readObject(r, n, metadataTable, &m)
	if m.namespace != "" {
		s.Namespace = m.namespace
	}
	if m.nameAt.Node != nil {
		s.Name = r.label(m.nameAt, label)
	}
	r.labels(m.labels, onService)
	s.Options = options(r.annotations(m.annotations, onService))
}

// label reads a name that becomes part of host names.
func (r *reader) label(n node, form *regexp.Regexp) string {
	s := r.text(n)
	switch {
	case s == "" || len(s) <= maxLabel && form.MatchString(s):
	case form == label:
		r.errorf(n, "should be lower-case letters, digits and dashes, at most %d, and begin with a letter, is %q", maxLabel, s)
	default:
		r.errorf(n, "should be lower-case letters, digits and dashes, at most %d, and begin and end with a letter or digit, is %q", maxLabel, s)
	}
	return s
}

// objectName reads the name of an object that is not part of a host name.
func (r *reader) objectName(n node) string {
	s := r.text(n)
	if s != "" && (len(s) > maxName || !subdomain.MatchString(s)) {
		r.errorf(n, "should be lower-case letters, digits, dashes and dots, at most %d, is %q", maxName, s)
	}
	return s
}

var serviceSpecTable = newTable("ServiceSpec",
	[]field[Service]{
		{name: "template", note: "a changed one makes a new revision", read: func(r *reader, n node, s *Service) {
			s.Template = r.template(n)
			r.hasTemplate = true
		}},
		{name: "traffic", note: "percents and tags", read: func(r *reader, n node, s *Service) {
			r.list(n, func(n node) {
				t := trafficTarget{Traffic: Traffic{Pos: r.pos(n)}}
				readObject(r, n, trafficTable, &t)
				if latest := t.Revision == ""; n.Kind == yaml.MappingNode && t.latest != nil && *t.latest != latest {
					r.errorf(n, "should have either revisionName or %s", latestRevisionText)
				}
				s.Traffic = append(s.Traffic, t.Traffic)
			})
		}},
	},
)

type trafficTarget struct {
	Traffic
	latest *bool // nil: it depends on the revision's name, as in Knative
}

var trafficTable = newTable("TrafficTarget",
	[]field[trafficTarget]{
		{name: "percent", note: "they add up to 100", read: func(r *reader, n node, t *trafficTarget) { t.Percent = r.number(n, 0, 100) }},
		{name: "revisionName", note: "a revision that was made here", read: func(r *reader, n node, t *trafficTarget) { t.Revision = r.label(n, label) }},
		{name: "latestRevision", note: "without revisionName it is true", read: func(r *reader, n node, t *trafficTarget) { t.latest = new(r.boolean(n)) }},
		{name: "tag", note: "has a host of its own, TAG-SERVICE", read: func(r *reader, n node, t *trafficTarget) { t.Tag = r.label(n, label) }},
	},
	recorded[trafficTarget]("written by a cluster", "url"),
	ignored[trafficTarget]("of Routes only", "configurationName"),
)

var templateTable = newTable("RevisionTemplateSpec",
	[]field[Template]{
		{name: "metadata", note: "see metadata", read: func(r *reader, n node, t *Template) {
			var m metadata
			readObject(r, n, metadataTable, &m)
			if m.nameAt.Node != nil {
				t.Name, t.NamePos = r.label(m.nameAt, label), r.pos(m.nameAt)
			}
			t.Labels = r.labels(m.labels, onTemplate)
			t.Annotations = r.annotations(m.annotations, onTemplate)
			t.Options = options(t.Annotations)
		}},
		{name: "spec", note: "see RevisionSpec", read: func(r *reader, n node, t *Template) {
			r.hasPod = true
			p := pod{t: t}
			readObject(r, n, podTable, &p)
			p.finish(r, n)
		}},
	},
)

func (r *reader) template(n node) Template {
	t := Template{Timeout: defaultTimeout, NamePos: r.pos(n)}
	readObject(r, n, templateTable, &t)
	if n.Kind == yaml.MappingNode && !r.hasPod {
		r.errorf(node{n.Node, join(n.path, "spec")}, "missing")
	}
	return t
}

// service reads a document of kind Service.
func (r *reader) service(n node) Service {
	s := Service{Pos: r.pos(n), Namespace: defaultNamespace}
	readObject(r, n, serviceTable, &s)
	if len(s.Traffic) == 0 {
		s.Traffic = []Traffic{{Pos: s.Pos, Percent: 100}}
	}
	missing := func(field string) { r.errorf(node{n.Node, join(n.path, field)}, "missing") }
	if s.Name == "" && len(r.errs) == 0 {
		missing("metadata.name")
	}
	if !r.hasSpec && len(r.errs) == 0 {
		missing("spec")
	}
	if len(r.errs) == 0 {
		r.check(&s, n.path)
	}
	s.Ignored = r.ignored
	s.Object = r.document(n, s.Namespace)
	return s
}

// check checks combinations of fields.
func (r *reader) check(s *Service, path string) {
	at := func(p Pos, field string) node { return node{&yaml.Node{Line: p.Line}, join(path, field)} }
	if name := s.Template.Name; name != "" && !strings.HasPrefix(name, s.Name+"-") {
		r.errorf(at(s.Template.NamePos, "spec.template.metadata.name"), "should begin with %q, is %q", s.Name+"-", name)
	}
	own, all := s.Template.Options, s.Options
	if own.AffinityOrder+all.AffinityOrder != "" && own.Affinity+all.Affinity == "" {
		r.errorf(at(s.Pos, "metadata.annotations["+knative.AnnotationAffinityOrder+"]"), "needs %s, on the template or the service", knative.AnnotationAffinity)
	}
	sum, tags := 0, map[string]bool{}
	for _, t := range s.Traffic {
		sum += t.Percent
		if t.Tag != "" && tags[t.Tag] {
			r.errorf(at(t.Pos, "spec.traffic"), "tag %q is used twice", t.Tag)
		}
		tags[t.Tag] = true
	}
	if sum != 100 {
		r.errorf(at(s.Traffic[0].Pos, "spec.traffic"), "the percents should sum to 100, sum to %d", sum)
	}
}
