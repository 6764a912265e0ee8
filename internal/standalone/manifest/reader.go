package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader reads the nodes of one document, and collects errors and notes.
type reader struct {
	file    string
	api     bool // the document came by the API: it has no positions, and unknown fields are no errors
	errs    []error
	ignored []Note
	unknown []Unknown
	schema  map[string]map[string]any // by path; not nil: there are no values, only what they should be is asked (Schema)

	hasSpec, hasTemplate, hasPod bool // of a Service
}

// node is a YAML node and the path of fields that leads to it.
type node struct {
	*yaml.Node
	path string
}

func (r *reader) pos(n node) Pos {
	if r.api {
		return Pos{}
	}
	return Pos{r.file, max(n.Line, 1)}
}

func (r *reader) place(n node) Place { return Place{r.pos(n), n.path} }

func (r *reader) errorf(n node, format string, args ...any) {
	r.errs = append(r.errs, r.pos(n).Errorf(n.path, format, args...))
}

func (r *reader) ignore(n node, why string) {
	r.ignored = append(r.ignored, Note{Place: r.place(n), Why: why})
}

// forProcesses notes a field that has its meaning in a container.
func (r *reader) forProcesses(n node, why string) {
	r.ignored = append(r.ignored, Note{Place: r.place(n), Why: why, Contained: true})
}

// entries ranges over a mapping. The line of a value is that of its key.
func (r *reader) entries(n node) func(yield func(string, node) bool) {
	return func(yield func(string, node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], resolve(n.Content[i+1])
			at := *value
			at.Line = key.Line
			if !yield(key.Value, node{&at, join(n.path, key.Value)}) {
				return
			}
		}
	}
}

// mapping is entries for a node that has to be a mapping. A duplicate key is an error, and null is an empty value.
func (r *reader) mapping(n node) func(yield func(string, node) bool) {
	return func(yield func(string, node) bool) {
		if s := r.shape(n, "object"); s != nil {
			value := map[string]any{}
			s["additionalProperties"] = value
			yield("", r.part(n.path+".*", value))
			return
		}
		if n.Kind != yaml.MappingNode {
			r.errorf(n, "should be a mapping, is %s", describe(n))
			return
		}
		seen := map[string]bool{}
		for key, value := range r.entries(n) {
			if seen[key] {
				r.errorf(value, "given twice")
				continue
			}
			seen[key] = true
			if isNull(value) {
				value.Tag, value.Value = "!!str", ""
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

// list calls read for each item of the sequence n.
func (r *reader) list(n node, read func(node)) {
	if s := r.shape(n, "array"); s != nil {
		item := map[string]any{}
		s["items"] = item
		read(r.part(n.path+"[]", item))
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.errorf(n, "should be a list, is %s", describe(n))
		return
	}
	for i, item := range n.Content {
		read(node{resolve(item), fmt.Sprintf("%s[%d]", n.path, i)})
	}
}

// readList reads a list of objects.
func readList[T any](r *reader, n node, t *table[T]) []T {
	var all []T
	r.list(n, func(n node) {
		var v T
		readObject(r, n, t, &v)
		all = append(all, v)
	})
	return all
}

// text reads a scalar that has to be a string. As in Kubernetes YAML's 8080 and true are not strings.
func (r *reader) text(n node) string {
	if r.shape(n, "string") != nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		r.errorf(n, "should be a string, is %s", describe(n))
		return ""
	}
	if n.Tag != "!!str" {
		r.errorf(n, "should be a string, is %s without quotes; quote it", describe(n))
		return ""
	}
	return n.Value
}

// oneOf reads a string that is one of values.
func (r *reader) oneOf(n node, values ...string) string {
	s := r.text(n)
	if schema := r.shape(n, "string"); schema != nil {
		var all []any
		for _, v := range values {
			all = append(all, v)
		}
		schema["enum"] = all
	}
	if slices.Contains(values, s) {
		return s
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		r.errorf(n, "should be %s, is %q", strings.Join(values, " or "), s)
	}
	return s
}

// number reads an integer within [low, high].
func (r *reader) number(n node, low, high int) int {
	if s := r.shape(n, "integer"); s != nil {
		s["minimum"], s["maximum"] = int64(low), int64(high)
		return low
	}
	v, err := strconv.ParseInt(n.Value, 0, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
		r.errorf(n, "should be a whole number, is %s", describe(n))
		return low
	}
	if v < int64(low) || v > int64(high) {
		r.errorf(n, "should be from %d to %d, is %d", low, high, v)
		return low
	}
	return int(v)
}

func (r *reader) seconds(n node, low, high int) time.Duration {
	return time.Duration(r.number(n, low, high)) * time.Second
}

func (r *reader) boolean(n node) bool {
	if r.shape(n, "boolean") != nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		r.errorf(n, "should be true or false, is %s", describe(n))
	}
	return strings.EqualFold(n.Value, "true")
}

func (r *reader) texts(n node) []string {
	var all []string
	r.list(n, func(item node) { all = append(all, r.text(item)) })
	return all
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func isEmpty(n node) bool { return n.Kind != yaml.ScalarNode && len(n.Content) == 0 }

// asksForNothing reports whether a value is empty or false, so that ignoring it makes no difference.
func asksForNothing(n node) bool {
	return isEmpty(n) || n.Kind == yaml.ScalarNode && n.Tag == "!!bool" && strings.EqualFold(n.Value, "false")
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	if strings.ContainsAny(field, "./ ") {
		return path + "[" + field + "]"
	}
	return path + "." + field
}

func describe(n node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		switch {
		case isNull(n):
			return "nothing"
		case n.Tag != "!!str":
			return n.Value
		}
		return strconv.Quote(n.Value)
	}
	return "something else"
}
