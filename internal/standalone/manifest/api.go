package manifest

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Unknown is a field that no table has. In a file it is an error; with the API the client chooses (fieldValidation).
type Unknown struct {
	Field string
	Hint  string // "; the nearest is …"
}

func (u Unknown) Error() string { return fmt.Sprintf("unknown field %q%s", u.Field, u.Hint) }

// ReadService reads a Service that came by the API, with the tables and the rules of files. Its unknown fields are returned,
// and are not in the Service's Object; object itself doesn't change. The error joins an *Error for each problem, without Pos.
func ReadService(object map[string]any) (Service, []Unknown, error) {
	r, n, err := readJSON(object)
	if err != nil {
		return Service{}, nil, err
	}
	s := r.service(n)
	return s, r.unknown, errors.Join(r.errs...)
}

// ReadObject reads a ConfigMap or Secret, by its kind, as ReadService reads a Service.
func ReadObject(object map[string]any) (*Object, []Unknown, error) {
	r, n, err := readJSON(object)
	if err != nil {
		return nil, nil, err
	}
	o := r.object(n, SourceKind(scalar(n, "kind")))
	return o, r.unknown, errors.Join(r.errs...)
}

// ReadEventing reads a Broker, a Trigger or a source, by its kind, as ReadService reads a Service.
func ReadEventing(object map[string]any) (*Eventing, []Unknown, error) {
	r, n, err := readJSON(object)
	if err != nil {
		return nil, nil, err
	}
	e := r.eventing(n, EventingKind(scalar(n, "kind")))
	return e, r.unknown, errors.Join(r.errs...)
}

// ReadRevision reads the template from which a Revision has been made: its labels, its annotations and its spec. What Knative
// adds to those of the template is left out. The template has no Name, since a Revision doesn't tell whether it was generated.
func ReadRevision(object map[string]any) (Template, error) {
	metadata, _ := object["metadata"].(map[string]any)
	r, n, err := readJSON(map[string]any{
		"metadata": map[string]any{"labels": metadata["labels"], "annotations": metadata["annotations"]},
		"spec":     object["spec"],
	})
	if err != nil {
		return Template{}, err
	}
	return r.template(n), errors.Join(r.errs...)
}

// readJSON returns a reader for an object of the API, and the object as a node.
func readJSON(object map[string]any) (*reader, node, error) {
	data, err := json.Marshal(object) // its keys are sorted, and so are errors and notes
	if err != nil {
		return nil, node{}, &Error{Why: err.Error()}
	}
	docs, ok := jsonDocuments(data)
	if !ok {
		return nil, node{}, &Error{Why: errTooDeep.Error()}
	}
	return &reader{api: true}, node{docs[0].Content[0], ""}, nil
}

// dropped is the tag of the key of an unknown field.
const dropped = "!dropped"

// drop notes an unknown field of the mapping n and leaves it out of what value returns.
func (r *reader) drop(n node, key, hint string) {
	r.unknown = append(r.unknown, Unknown{join(n.path, key), hint})
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i].Tag = dropped
		}
	}
}

// document returns n as an object of Kubernetes in the given namespace; nil after an error.
func (r *reader) document(n node, namespace string) map[string]any {
	if len(r.errs) > 0 {
		return nil
	}
	left := maxValues
	object, _ := value(n.Node, 0, &left).(map[string]any)
	if left < 0 {
		r.errorf(n, "too large or too deep with its aliases written out")
		return nil
	}
	if metadata, ok := object["metadata"].(map[string]any); ok {
		metadata["namespace"] = namespace
	}
	return object
}

// maxValues bounds a document whose aliases are written out: one may contain itself. Without aliases no file has as many.
const maxValues = MaxFileSize

// value converts n to the types of k8s.io/apimachinery's unstructured objects. *left is how many values may follow; it is
// negative if that was not enough.
func value(n *yaml.Node, depth int, left *int) any {
	n = resolve(n)
	if *left--; *left < 0 || depth > maxDepth {
		*left = -1
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag != dropped {
				m[n.Content[i].Value] = value(n.Content[i+1], depth+1, left)
			}
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, value(item, depth+1, left))
		}
		return list
	}
	return jsonScalar(n)
}
