package manifest

import (
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

var envTable = newTable("EnvVar",
	[]field[EnvVar]{
		{name: "name", note: "", read: func(r *reader, n node, v *EnvVar) { v.Name = r.text(n) }},
		{name: "value", note: "with `$(NAME)` for earlier variables, as in Kubernetes", read: func(r *reader, n node, v *EnvVar) { v.Value = r.text(n) }},
		{name: "valueFrom", note: "see EnvVarSource", read: func(r *reader, n node, v *EnvVar) { v.From = r.source(n, sourceTable) }},
	},
)

func (r *reader) env(n node, c *Container) []EnvVar {
	var all []EnvVar
	r.list(n, func(n node) {
		var v EnvVar
		readObject(r, n, envTable, &v)
		if n.Kind != yaml.MappingNode {
			return
		}
		switch {
		case slices.Contains(reserved, v.Name):
			r.errorf(n, "%s is set by the platform and can't be set here", v.Name)
		case v.Name == "PORT":
			c.portVar = r.place(n)
		case !variable.MatchString(v.Name):
			r.errorf(n, "name should be that of a variable, is %q", v.Name)
		case v.From != nil && v.Value != "":
			r.errorf(n, "should have either value or valueFrom")
		}
		all = append(all, v)
	})
	return all
}

// origin is a Source while it is read.
type origin struct{ found []Source }

// add adds a source. source requires exactly one.
func (o *origin) add(s Source) { o.found = append(o.found, s) }

var sourceTable = newTable("EnvVarSource",
	[]field[origin]{
		{name: "configMapKeyRef", note: "of a ConfigMap of the namespace", read: keyRef(FromConfigMap)},
		{name: "secretKeyRef", note: "of a Secret of the namespace", read: keyRef(FromSecret)},
		{name: "fieldRef", note: "metadata.name, .namespace, .uid, .labels['…'], .annotations['…'], spec.nodeName, spec.serviceAccountName, status.hostIP(s), status.podIP(s)", read: readFieldRef},
		{name: "resourceFieldRef", note: "limits and requests of cpu, memory and ephemeral-storage; without a limit it is the machine's", read: readResourceRef},
	},
	ignored[origin]("not for services", "fileKeyRef"),
)

// source reads an object that must have exactly one source.
func (r *reader) source(n node, t *table[origin]) *Source {
	var o origin
	readObject(r, n, t, &o)
	if len(o.found) != 1 {
		if n.Kind == yaml.MappingNode {
			r.errorf(n, "should name one source, names %d", len(o.found))
		}
		return nil
	}
	o.found[0].Place = r.place(n)
	return &o.found[0]
}

var keyTable = newTable("ConfigMapKeySelector, SecretKeySelector",
	[]field[Source]{
		{name: "name", note: "", read: func(r *reader, n node, s *Source) { s.Name = r.objectName(n) }},
		{name: "key", note: "", read: func(r *reader, n node, s *Source) { s.Key = r.text(n) }},
		{name: "optional", note: "without it replicas wait for what is missing", read: func(r *reader, n node, s *Source) { s.Optional = r.boolean(n) }},
	},
)

func keyRef(kind SourceKind) func(*reader, node, *origin) {
	return func(r *reader, n node, o *origin) {
		s := Source{Kind: kind}
		readObject(r, n, keyTable, &s)
		if n.Kind == yaml.MappingNode && (s.Name == "" || s.Key == "") {
			r.errorf(n, "should have name and key")
		}
		o.add(s)
	}
}

var fieldRefTable = newTable("ObjectFieldSelector",
	[]field[Source]{
		{name: "fieldPath", note: "", read: func(r *reader, n node, s *Source) { s.Path = r.text(n) }},
		{name: "apiVersion", note: "`v1`", read: func(r *reader, n node, _ *Source) { r.oneOf(n, "v1") }},
	},
)

// fieldPaths are the fields of Kubernetes' downward API. The last two are for volumes only.
var fieldPaths = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs", "metadata.labels", "metadata.annotations",
}

// keyedField is one label or annotation.
var keyedField = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)

func readFieldRef(r *reader, n node, o *origin) {
	s := Source{Kind: FromField}
	readObject(r, n, fieldRefTable, &s)
	if n.Kind == yaml.MappingNode && !slices.Contains(fieldPaths, s.Path) && !keyedField.MatchString(s.Path) {
		hint := ""
		if name := nearest(s.Path, fieldPaths); name != "" {
			hint = "; the nearest is " + name
		}
		r.errorf(node{n.Node, join(n.path, "fieldPath")}, "no such field of a pod: %q%s", s.Path, hint)
	}
	o.add(s)
}

// LabelOrAnnotation splits the field path of a label or annotation; ok is false for any other path.
func LabelOrAnnotation(path string) (labels bool, key string, ok bool) {
	m := keyedField.FindStringSubmatch(path)
	if m == nil {
		return false, "", false
	}
	return m[1] == "labels", m[2], true
}

var resourceRefTable = newTable("ResourceFieldSelector",
	[]field[Source]{
		{name: "resource", note: "", read: func(r *reader, n node, s *Source) {
			s.Path = r.oneOf(n, "limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage")
		}},
		{name: "containerName", note: "", read: func(r *reader, n node, s *Source) { s.Container = r.text(n) }},
		{name: "divisor", note: "", read: func(r *reader, n node, s *Source) { s.Divisor = r.quantity(n) }},
	},
)

func readResourceRef(r *reader, n node, o *origin) {
	s := Source{Kind: FromResource}
	readObject(r, n, resourceRefTable, &s)
	if n.Kind == yaml.MappingNode && s.Path == "" {
		r.errorf(n, "should have resource")
	}
	o.add(s)
}

// from is an EnvFrom while it is read.
type from struct {
	origin
	prefix string
}

var envFromTable = newTable("EnvFromSource",
	[]field[from]{
		{name: "prefix", note: "", read: func(r *reader, n node, f *from) { f.prefix = r.text(n) }},
		{name: "configMapRef", note: "a ConfigMap of the namespace", read: func(r *reader, n node, f *from) { r.allOf(n, FromConfigMap, f) }},
		{name: "secretRef", note: "a Secret of the namespace", read: func(r *reader, n node, f *from) { r.allOf(n, FromSecret, f) }},
	},
)

var envFromRefTable = newTable("ConfigMapEnvSource, SecretEnvSource",
	[]field[Source]{
		{name: "name", note: "", read: func(r *reader, n node, s *Source) { s.Name = r.objectName(n) }},
		{name: "optional", note: "", read: func(r *reader, n node, s *Source) { s.Optional = r.boolean(n) }},
	},
)

func (r *reader) allOf(n node, kind SourceKind, f *from) {
	s := Source{Kind: kind, Place: r.place(n)}
	readObject(r, n, envFromRefTable, &s)
	if n.Kind == yaml.MappingNode && s.Name == "" {
		r.errorf(n, "should have name")
	}
	f.add(s)
}

func (r *reader) envFrom(n node) []EnvFrom {
	var all []EnvFrom
	r.list(n, func(n node) {
		var f from
		readObject(r, n, envFromTable, &f)
		switch {
		case n.Kind != yaml.MappingNode:
		case len(f.found) != 1:
			r.errorf(n, "should have one of configMapRef and secretRef, has %d", len(f.found))
		default:
			all = append(all, EnvFrom{f.prefix, f.found[0]})
		}
	})
	return all
}
