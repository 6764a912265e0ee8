package manifest

import (
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits and defaults are those of Knative's API: its "Knative Serving API Specification" and config-defaults.
const (
	apiVersion         = "serving.knative.dev/v1"
	defaultNamespace   = "default"
	defaultTimeout     = 300 * time.Second
	maxTimeoutSeconds  = 600
	maxConcurrency     = 1000
	maxLabel           = 63 // RFC 1123 §2.1
	latestRevisionText = "latestRevision: true"
)

var label = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

// document reads one document; false when it holds none.
func (r *reader) document(doc *yaml.Node) (Service, bool) {
	if len(doc.Content) == 0 || isNull(node{doc.Content[0], ""}) {
		return Service{}, false
	}
	n := node{resolve(doc.Content[0]), ""}
	s := Service{Pos: r.pos(n), Namespace: defaultNamespace}
	var version, kind string
	var spec bool
	r.fields(n, map[string]func(node){
		"apiVersion": r.readText(&version),
		"kind":       r.readText(&kind),
		"metadata":   func(n node) { r.metadata(n, &s) },
		"spec":       func(n node) { spec = true; r.spec(n, &s) },
	})
	if len(r.errs) > 0 && (version != apiVersion || kind != "Service") {
		r.errs = nil // what is wrong with its fields matters less than that it is something else
	}
	switch {
	case len(r.errs) > 0:
	case version != apiVersion || kind != "Service":
		r.errorf(n, "should be a Service of %s, is kind %q of apiVersion %q", apiVersion, kind, version)
	case s.Name == "":
		r.errorf(node{n.Node, "metadata.name"}, "missing")
	case !spec:
		r.errorf(node{n.Node, "spec"}, "missing")
	default:
		r.check(&s)
	}
	return s, true
}

func (r *reader) metadata(n node, s *Service) {
	r.fields(n, map[string]func(node){
		"name":        func(n node) { s.Name = r.label(n) },
		"namespace":   func(n node) { s.Namespace = r.label(n) },
		"labels":      r.labels,
		"annotations": func(n node) { r.annotations(n, nil) },
	})
}

// label reads a name that becomes part of host names.
func (r *reader) label(n node) string {
	s := r.text(n)
	if s != "" && (len(s) > maxLabel || !label.MatchString(s)) {
		r.errorf(n, "should be lower-case letters, digits and dashes, at most %d, and begin with a letter, is %q", maxLabel, s)
	}
	return s
}

// labels are for selecting objects in a cluster: any may stand here, except those that Knative acts on.
func (r *reader) labels(n node) {
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "should be a mapping, is %s", describe(n))
		return
	}
	for key, value := range r.entries(n) {
		r.text(value)
		if strings.HasPrefix(key, "networking.knative.dev/") {
			r.errorf(value, "not supported")
		}
	}
}

// annotations reads what to, when not nil, is for. Those of Knative that it doesn't name are errors; others are
// somebody else's notes.
func (r *reader) annotations(n node, to *[]Annotation) {
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "should be a mapping, is %s", describe(n))
		return
	}
	seen := map[string]bool{}
	for key, value := range r.entries(n) {
		text := r.text(value)
		domain, _, _ := strings.Cut(key, "/")
		known := domain == "client.knative.dev" || domain == "autoscaling.knative.dev" && to != nil ||
			key == AnnotationFullDuplex && to != nil || !strings.HasSuffix(domain, "knative.dev")
		switch {
		case seen[key]:
			r.errorf(value, "given twice")
		case !known:
			r.errorf(value, "not supported; supported are autoscaling.knative.dev/… and %s, in spec.template.metadata", AnnotationFullDuplex)
		case to != nil:
			*to = append(*to, Annotation{key, text, r.pos(value)})
		}
		seen[key] = true
	}
}

// AnnotationFullDuplex, when "Enabled", lets an HTTP/1.1 app answer while it still reads the request.
const AnnotationFullDuplex = "features.knative.dev/http-full-duplex"

func (r *reader) spec(n node, s *Service) {
	var template bool
	r.fields(n, map[string]func(node){
		"template": func(n node) { template = true; r.template(n, &s.Template) },
		"traffic":  func(n node) { r.traffic(n, s) },
	})
	if !template && n.Kind == yaml.MappingNode {
		r.errorf(node{n.Node, "spec.template"}, "missing")
	}
	if len(s.Traffic) == 0 {
		s.Traffic = []Traffic{{Pos: s.Pos, Percent: 100}}
	}
}

func (r *reader) template(n node, t *Template) {
	t.Timeout = defaultTimeout
	t.NamePos = r.pos(n)
	var spec bool
	r.fields(n, map[string]func(node){
		"metadata": func(n node) {
			r.fields(n, map[string]func(node){
				"name":        func(n node) { t.Name, t.NamePos = r.label(n), r.pos(n) },
				"labels":      r.labels,
				"annotations": func(n node) { r.annotations(n, &t.Annotations) },
			})
		},
		"spec": func(n node) { spec = true; r.templateSpec(n, t) },
	})
	if !spec && n.Kind == yaml.MappingNode {
		r.errorf(node{n.Node, "spec.template.spec"}, "missing")
	}
}

func (r *reader) templateSpec(n node, t *Template) {
	seconds := func(to *time.Duration, low int) func(node) {
		return func(n node) { *to = time.Duration(r.number(n, low, maxTimeoutSeconds)) * time.Second }
	}
	var containers int
	r.fields(n, map[string]func(node){
		"containerConcurrency":        r.readNumber(&t.ContainerConcurrency, 0, maxConcurrency),
		"timeoutSeconds":              seconds(&t.Timeout, 1),
		"responseStartTimeoutSeconds": seconds(&t.ResponseStart, 0),
		"idleTimeoutSeconds":          seconds(&t.Idle, 0),
		"containers": func(n node) {
			r.list(n, func(n node) {
				if containers++; containers > 1 {
					r.errorf(n, "not supported: one container only")
					return
				}
				r.container(n, &t.Container)
			})
		},
	})
	if containers == 0 && len(r.errs) == 0 {
		r.errorf(node{n.Node, "spec.template.spec.containers"}, "should hold one container")
	}
}

func (r *reader) traffic(n node, s *Service) {
	r.list(n, func(n node) {
		t := Traffic{Pos: r.pos(n)}
		latest := false
		r.fields(n, map[string]func(node){
			"percent":        r.readNumber(&t.Percent, 0, 100),
			"revisionName":   func(n node) { t.Revision = r.label(n) },
			"latestRevision": func(n node) { latest = r.boolean(n) },
			"tag":            func(n node) { t.Tag = r.label(n) },
		})
		if n.Kind == yaml.MappingNode && latest == (t.Revision != "") {
			r.errorf(n, "should have either revisionName or %s", latestRevisionText)
		}
		s.Traffic = append(s.Traffic, t)
	})
}

// check is for what several fields say together.
func (r *reader) check(s *Service) {
	at := func(p Pos, path string) node { return node{&yaml.Node{Line: p.Line}, path} }
	if name := s.Template.Name; name != "" && !strings.HasPrefix(name, s.Name+"-") {
		r.errorf(at(s.Template.NamePos, "spec.template.metadata.name"), "should begin with %q, is %q", s.Name+"-", name)
	}
	sum, tags := 0, map[string]bool{}
	for _, t := range s.Traffic {
		sum += t.Percent
		if t.Tag != "" && tags[t.Tag] {
			r.errorf(at(t.Pos, "spec.traffic"), "tag %q stands twice", t.Tag)
		}
		tags[t.Tag] = true
	}
	if sum != 100 {
		r.errorf(at(s.Traffic[0].Pos, "spec.traffic"), "the percents should sum to 100, sum to %d", sum)
	}
}
