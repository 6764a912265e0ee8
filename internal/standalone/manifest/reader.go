package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader walks the nodes of one document, and keeps what is wrong with it.
type reader struct {
	file string
	errs []error
}

// node is a YAML node and the path of fields that leads to it.
type node struct {
	*yaml.Node
	path string
}

func (r *reader) pos(n node) Pos { return Pos{r.file, max(n.Line, 1)} }

func (r *reader) errorf(n node, format string, args ...any) {
	r.errs = append(r.errs, r.pos(n).Errorf(n.path, format, args...))
}

// fields calls known for each field of the mapping n, in the order of the file. A field without a function is an error.
// An absent (null) value is no field.
func (r *reader) fields(n node, known map[string]func(node)) {
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "should be a mapping, is %s", describe(n))
		return
	}
	seen := map[string]bool{}
	for key, value := range r.entries(n) {
		read, ok := known[key]
		switch {
		case !ok:
			r.errorf(value, "not supported; supported here: %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case seen[key]:
			r.errorf(value, "given twice")
		case !isNull(value):
			read(value)
		}
		seen[key] = true
	}
}

// entries ranges over a mapping. The value's line is that of its key, where a reader looks for it.
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

// list calls read for each item of the sequence n.
func (r *reader) list(n node, read func(node)) {
	if n.Kind != yaml.SequenceNode {
		r.errorf(n, "should be a list, is %s", describe(n))
		return
	}
	for i, item := range n.Content {
		read(node{resolve(item), fmt.Sprintf("%s[%d]", n.path, i)})
	}
}

// text reads a scalar that the schema says is a string: YAML's 8080 and true are not.
func (r *reader) text(n node) string {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		r.errorf(n, "should be a string, is %s; quote it", describe(n))
		return ""
	}
	return n.Value
}

// number reads an integer within [low, high].
func (r *reader) number(n node, low, high int) int {
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
		r.errorf(n, "should be a whole number, is %s", describe(n))
		return low
	}
	if v < low || v > high {
		r.errorf(n, "should be from %d to %d, is %d", low, high, v)
		return low
	}
	return v
}

func (r *reader) boolean(n node) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		r.errorf(n, "should be true or false, is %s", describe(n))
	}
	return n.Value == "true"
}

func (r *reader) texts(n node) []string {
	var all []string
	r.list(n, func(item node) { all = append(all, r.text(item)) })
	return all
}

// readText and its like are field readers for the table that fields takes.
func (r *reader) readText(to *string) func(node) { return func(n node) { *to = r.text(n) } }

func (r *reader) readTexts(to *[]string) func(node) { return func(n node) { *to = r.texts(n) } }

func (r *reader) readNumber(to *int, low, high int) func(node) {
	return func(n node) { *to = r.number(n, low, high) }
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

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
		if isNull(n) {
			return "nothing"
		}
		return strconv.Quote(n.Value)
	}
	return "something else"
}
