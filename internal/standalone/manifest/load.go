package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Set has the objects of an Input.
type Set struct {
	Services []Service // in the order of the files and of the documents within them
	Objects  Objects
	Eventing map[EventingKey]*Eventing
	// Skipped has a line for each file with skipped documents, or without documents.
	Skipped []string
	// Sources are the files of Services, Objects and Eventing. Unread has a reason for each of the other files from which nothing could
	// be read: an empty file, which may be about to be written, or a file in a directory that is not YAML. That is an error
	// only if the file was a Source before.
	Sources []string
	Unread  []*Error
}

func newSet() Set { return Set{Objects: Objects{}, Eventing: map[EventingKey]*Eventing{}} }

// Load reads in. Its error joins (errors.Join) an *Error for each problem, or is that of the file system; the Set then is
// empty.
func Load(in Input) (Set, error) {
	files, left, err := in.Read()
	if err != nil {
		return Set{}, err
	}
	s := newSet()
	var errs []error
	for _, f := range files {
		errs = append(errs, s.add(f))
	}
	errs = append(errs, s.once())
	if err := errors.Join(errs...); err != nil {
		return Set{}, err
	}
	s.Skipped = append(s.Skipped, left...)
	if len(s.Services) == 0 && len(s.Eventing) == 0 {
		s.Skipped = append(s.Skipped, fmt.Sprintf("nothing to serve: no Service in %s", in))
	}
	return s, nil
}

// Parse reads the documents of one file; its name is used only in errors, which are like Load's.
func Parse(file string, data []byte) ([]Service, error) {
	s := newSet()
	if err := s.add(File{Name: file, Data: data, Named: true}); err != nil {
		return nil, err
	}
	return s.Services, nil
}

// add reads one file.
func (s *Set) add(f File) error {
	docs, err := documents(f)
	if err != nil && !f.Named && !bytes.Contains(f.Data, []byte("apiVersion")) {
		s.Skipped, s.Unread = append(s.Skipped, f.Name+": not served here: not YAML, and without an apiVersion"), append(s.Unread, err)
		return nil
	}
	if len(bytes.TrimSpace(f.Data)) == 0 {
		s.Unread = append(s.Unread, &Error{Pos: Pos{f.Name, 1}, Why: "is empty now"})
	}
	d, before := document{set: s, file: f}, s.size()
	for i := range docs {
		if n := resolve(docs[i]); n != nil {
			d.read(node{n, ""})
		}
	}
	if len(d.skipped) > 0 {
		s.Skipped = append(s.Skipped, f.Name+": not served here: "+strings.Join(d.skipped, ", "))
	}
	if s.size() > before {
		s.Sources = append(s.Sources, f.Name)
	}
	if err != nil {
		return errors.Join(append(d.errs, err)...)
	}
	if d.count == 0 {
		s.Skipped = append(s.Skipped, f.Name+": holds no manifest")
	}
	return errors.Join(d.errs...)
}

func (s *Set) size() int { return len(s.Services) + len(s.Objects) + len(s.Eventing) }

// documents splits a file into its documents, without empty ones.
func documents(f File) ([]*yaml.Node, *Error) {
	docs, ok := jsonDocuments(f.Data)
	var broken *Error
	if !ok {
		var err error
		if docs, err = yamlDocuments(f.Data); err != nil {
			broken = syntaxError(f, err)
		}
	}
	var all []*yaml.Node
	for _, d := range docs {
		if len(d.Content) > 0 && !isNull(node{resolve(d.Content[0]), ""}) {
			all = append(all, d.Content[0])
		}
	}
	return all, broken
}

// yamlDocuments returns the documents before the first error.
func yamlDocuments(data []byte) (docs []*yaml.Node, err error) {
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return docs, err
		}
		docs = append(docs, &doc)
	}
}

// document reads those of one file into a set.
type document struct {
	set     *Set
	file    File
	count   int // number of Kubernetes objects
	skipped []string
	errs    []error
}

// known kinds of Knative's serving API, to detect misspelt ones.
var servingKinds = []string{"Service", "Configuration", "Revision", "Route", "DomainMapping"}

// read reads one document, or one item of a List.
func (d *document) read(n node) {
	r := reader{file: d.file.Name}
	version, kind := scalar(n, "apiVersion"), scalar(n, "kind")
	group, _, _ := strings.Cut(version, "/")
	switch {
	case isKustomization(d.file.Name, kind):
		d.count++
		d.skip("Kustomization (kubectl kustomize " + directory(d.file.Name) + " writes out what it says)")
		return
	case version == "" && kind == "" && !d.file.Named:
		d.count++
		d.skip("no object of Kubernetes")
		return
	}
	d.count++
	at := func(field string) node { return node{n.Node, join(n.path, field)} }
	switch {
	case n.Kind != yaml.MappingNode, version == "" && kind == "":
		r.errorf(n, "should be a Service of %s, is kind %q of apiVersion %q", apiVersion, kind, version)
	case version == "":
		r.errorf(at("apiVersion"), "missing")
	case kind == "":
		r.errorf(at("kind"), "missing")
	case version == "v1" && strings.HasSuffix(kind, "List"), version == apiVersion && kind == "ServiceList":
		d.items(n, &r)
	case version == apiVersion && kind == "Service":
		d.set.Services = append(d.set.Services, r.service(n))
	case version == "v1" && (kind == string(FromConfigMap) || kind == string(FromSecret)):
		d.object(r.object(n, SourceKind(kind)), &r)
	case eventingVersions[kind] == version, kind == string(KindPingSource) && version == oldPingVersion:
		d.eventing(r.eventing(n, EventingKind(kind)), &r)
	case eventingVersions[kind] != "" && eventingKinds[group] != nil:
		r.errorf(at("apiVersion"), "should be %s, is %q", eventingVersions[kind], version)
	case eventingKinds[group] != nil && !slices.Contains(eventingKinds[group], kind):
		r.noSuchKind(at("kind"), version, kind, eventingKinds[group])
	case kind == "Service" && (group == "serving.knative.dev" || version != "v1" && nearest(version, []string{apiVersion}) != ""):
		r.errorf(at("apiVersion"), "should be %s, is %q", apiVersion, version)
	case group == "serving.knative.dev" && !slices.Contains(servingKinds, kind):
		r.noSuchKind(at("kind"), version, kind, servingKinds)
	default:
		what := strings.TrimSpace(kind + " " + objectName(n))
		if kind == "Service" { // Kubernetes' own, beside Knative's
			what += " of " + version
		}
		d.skip(what)
	}
	d.errs = append(d.errs, r.errs...)
}

func (r *reader) noSuchKind(n node, version, kind string, kinds []string) {
	hint := ""
	if k := nearest(kind, kinds); k != "" {
		hint = "; the nearest is " + k
	}
	r.errorf(n, "no kind of %s: %q%s", version, kind, hint)
}

// skip notes a skipped object.
func (d *document) skip(what string) {
	if !slices.Contains(d.skipped, what) {
		d.skipped = append(d.skipped, what)
	}
}

// maxLists bounds the nesting of Lists: in YAML a List can contain itself.
const maxLists = 4

// items reads a List.
func (d *document) items(n node, r *reader) {
	if strings.Count(n.path, "items[") >= maxLists {
		r.errorf(n, "a List in more than %d Lists", maxLists)
		return
	}
	for key, value := range r.entries(n) {
		if key == "items" && !isNull(value) {
			r.list(value, d.read)
		}
	}
}

// object adds a ConfigMap or a Secret; the same one twice is an error.
func (d *document) object(o *Object, r *reader) {
	if len(r.errs) > 0 {
		return
	}
	if other := d.set.Objects[o.Key()]; other != nil {
		d.errs = append(d.errs, o.Pos.Errorf("", "%s %s is also in %s", o.Kind, o.Name, other.Pos))
		return
	}
	d.set.Objects[o.Key()] = o
}

// eventing adds an object of Eventing; the same one twice is an error.
func (d *document) eventing(e *Eventing, r *reader) {
	if len(r.errs) > 0 {
		return
	}
	if other := d.set.Eventing[e.Key()]; other != nil {
		d.errs = append(d.errs, e.Pos.Errorf("", "%s %s is also in %s", e.Kind, e.Name, other.Pos))
		return
	}
	d.set.Eventing[e.Key()] = e
}

// once checks that a Service is in one file only: the documents of a file apply in their order, but files have no order.
func (s *Set) once() error {
	first := map[ObjectKey]Pos{}
	var errs []error
	for _, svc := range s.Services {
		k := ObjectKey{Namespace: svc.Namespace, Name: svc.Name}
		pos, there := first[k]
		if !there {
			first[k] = svc.Pos
		} else if pos.File != svc.Pos.File {
			errs = append(errs, svc.Pos.Errorf("", "service %s of namespace %s is also in %s: successive versions of a service belong in one file", svc.Name, svc.Namespace, pos))
		}
	}
	return errors.Join(errs...)
}

// isKustomization recognizes kustomize's files, in which kind may be missing.
func isKustomization(file, kind string) bool {
	base := file[strings.LastIndexAny(file, `/\`)+1:]
	return kind == "Kustomization" || kind == "" && (base == "kustomization.yaml" || base == "kustomization.yml")
}

func directory(file string) string {
	if i := strings.LastIndexByte(file, '/'); i > 0 {
		return file[:i]
	}
	return "."
}

// scalar returns the value of a field such as kind; "" if it is missing.
func scalar(n node, field string) string {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if value := resolve(n.Content[i+1]); n.Content[i].Value == field && value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
				return value.Value
			}
		}
	}
	return ""
}

func objectName(n node) string {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "metadata" {
			return scalar(node{resolve(n.Content[i+1]), ""}, "name")
		}
	}
	return ""
}

var yamlError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`)

// syntaxError converts an error of the YAML parser to an Error. The line of one that names none, such as a control character, is
// that with which a file has to end at least to have the same error.
func syntaxError(f File, err error) *Error {
	m := yamlError.FindStringSubmatch(err.Error())
	line, none := strconv.Atoi(m[1])
	if none != nil {
		lines := bytes.SplitAfter(f.Data, []byte("\n"))
		line = 1 + sort.Search(len(lines)-1, func(i int) bool {
			_, e := yamlDocuments(bytes.Join(lines[:i+1], nil))
			return e != nil && e.Error() == err.Error()
		})
	}
	return &Error{Pos: Pos{f.Name, line}, Why: "not YAML: " + m[2]}
}
