package manifest

import "go.yaml.in/yaml/v3"

// Schema returns the OpenAPI v3 schema of a kind that is read, of whose Services Knative's, as decoded from JSON; nil for any other kind.
//
// It comes from the tables: a reader with a schema reads each of their fields once, without a value, and notes what each value
// would have to be.
func Schema(kind string) map[string]any {
	root := map[string]any{}
	r, n := &reader{api: true, schema: map[string]map[string]any{"": root}}, node{&yaml.Node{}, ""}
	switch kind {
	case "Service":
		readObject(r, n, serviceTable, &Service{})
	case string(FromConfigMap):
		readObject(r, n, configMapTable, &Object{Data: map[string]string{}})
	case string(FromSecret):
		readObject(r, n, secretTable, &Object{Data: map[string]string{}})
	default:
		if eventingVersions[kind] == "" {
			return nil
		}
		readEventing(r, n, &Eventing{Kind: EventingKind(kind)})
	}
	return root
}

// shape returns the schema of n, with its type unless that is empty; nil if r reads values.
func (r *reader) shape(n node, kind string) map[string]any {
	if r.schema == nil {
		return nil
	}
	s := r.schema[n.path]
	if kind != "" {
		s["type"] = kind
	}
	return s
}

// part returns a node without a value, of the given schema.
func (r *reader) part(path string, schema map[string]any) node {
	r.schema[path] = schema
	return node{&yaml.Node{}, path}
}

// describeFields notes the fields of the object n; read is that of [reader.fields].
func (r *reader) describeFields(n node, l *listing, read func(i int, value node)) {
	properties := map[string]any{}
	r.shape(n, "object")["properties"] = properties
	for i, f := range l.rows {
		description := f.Class.String()
		if f.Note != "" {
			description += ": " + f.Note
		}
		s := map[string]any{"description": description}
		properties[f.Name] = s
		if f.Class != Done {
			s["x-kubernetes-preserve-unknown-fields"] = true
			continue
		}
		read(i, r.part(join(n.path, f.Name), s))
	}
}

// intOrString notes that n is a number or a string; false: r reads values.
func (r *reader) intOrString(n node) bool {
	s := r.shape(n, "")
	if s == nil {
		return false
	}
	s["x-kubernetes-int-or-string"] = true
	s["anyOf"] = []any{map[string]any{"type": "integer"}, map[string]any{"type": "string"}}
	return true
}
