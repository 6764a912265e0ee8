package manifest

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Object is a ConfigMap or a Secret.
type Object struct {
	Pos             Pos
	Kind            SourceKind
	Namespace, Name string
	Data            map[string]string
	Object          map[string]any // the document, as in a Service
}

// ObjectKey identifies an Object.
type ObjectKey struct {
	Kind            SourceKind
	Namespace, Name string
}

// Objects are the ConfigMaps and Secrets of an Input.
type Objects map[ObjectKey]*Object

// Key returns the key of o.
func (o *Object) Key() ObjectKey { return ObjectKey{o.Kind, o.Namespace, o.Name} }

// Of returns the object of s in namespace, or nil.
func (all Objects) Of(namespace string, s *Source) *Object {
	return all[ObjectKey{s.Kind, namespace, s.Name}]
}

var configMapTable = newTable("ConfigMap", objectFields("data"),
	[]field[Object]{
		{name: "binaryData", note: "in base64", read: readBase64},
	},
	recorded[Object]("", "immutable", "status"),
)

var secretTable = newTable("Secret", objectFields("stringData"),
	[]field[Object]{
		{name: "data", note: "in base64", read: readBase64},
	},
	recorded[Object]("", "type", "immutable", "status"),
)

// objectFields returns the fields of both; plain is the field of unencoded values, which override those in base64.
func objectFields(plain string) []field[Object] {
	return []field[Object]{
		{name: "apiVersion", note: "`v1`", read: func(r *reader, n node, _ *Object) { r.text(n) }},
		{name: "kind", note: "", read: func(r *reader, n node, _ *Object) { r.text(n) }},
		{name: "metadata", note: "", read: func(r *reader, n node, o *Object) {
			var m metadata
			readObject(r, n, metadataTable, &m)
			if m.namespace != "" {
				o.Namespace = m.namespace
			}
			if m.nameAt.Node != nil {
				o.Name = r.objectName(m.nameAt)
			}
		}},
		{name: plain, note: "", read: func(r *reader, n node, o *Object) {
			for key, value := range r.mapping(n) {
				r.dataKey(key, value)
				o.Data[key] = r.text(value)
			}
		}},
	}
}

// dataKey: Kubernetes' "ConfigMaps". Keys become names of files.
var dataKey = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

func (r *reader) dataKey(key string, at node) {
	if !dataKey.MatchString(key) || key == "." || strings.HasPrefix(key, "..") {
		r.errorf(at, "a key should be letters, digits, dashes, dots and underscores")
	}
}

func readBase64(r *reader, n node, o *Object) {
	for key, value := range r.mapping(n) {
		r.dataKey(key, value)
		text := r.text(value)
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			r.errorf(value, "should be in base64: values that aren't belong in stringData")
		}
		if _, plain := o.Data[key]; !plain {
			o.Data[key] = string(data)
		}
	}
}

// object reads a document of kind ConfigMap or Secret.
func (r *reader) object(n node, kind SourceKind) *Object {
	o := &Object{Pos: r.pos(n), Kind: kind, Namespace: defaultNamespace, Data: map[string]string{}}
	t := configMapTable
	if kind == FromSecret {
		t = secretTable
	}
	readObject(r, n, t, o)
	if o.Name == "" && len(r.errs) == 0 {
		r.errorf(node{&yaml.Node{Line: n.Line}, join(n.path, "metadata.name")}, "missing")
	}
	o.Object = r.document(n, o.Namespace)
	return o
}

// Missing returns a Note for each source of t in namespace that is neither in all nor optional.
func (t *Template) Missing(namespace string, all Objects) []Note {
	var notes []Note
	check := func(s *Source, key string) {
		if s == nil || s.Optional || s.Kind != FromConfigMap && s.Kind != FromSecret {
			return
		}
		what := fmt.Sprintf("%s %s", s.Kind, s.Name)
		o := all.Of(namespace, s)
		if o != nil && key != "" {
			if _, ok := o.Data[key]; !ok {
				notes = append(notes, Note{Place: s.Place, Why: fmt.Sprintf("%s has no key %s", what, key)})
			}
			return
		}
		if o == nil {
			notes = append(notes, Note{Place: s.Place, Why: fmt.Sprintf("%s of namespace %s doesn't exist: create it, with kubectl or in a file of -f", what, namespace)})
		}
	}
	for _, c := range t.All() {
		for i := range c.EnvFrom {
			check(&c.EnvFrom[i].Source, "")
		}
		for i := range c.Env {
			if s := c.Env[i].From; s != nil {
				check(s, s.Key)
			}
		}
	}
	for i := range t.Volumes {
		for _, p := range t.Volumes[i].Parts {
			check(p.Source, "")
			for _, item := range p.Items {
				if p.Source != nil && all.Of(namespace, p.Source) != nil {
					check(p.Source, item.Key)
				}
			}
		}
	}
	return notes
}
