// Package filter decides which events a trigger gets, and finds the key of an event.
//
//	f, err := filter.Compile(filter.Spec{Filters: []filter.Expression{{Prefix: map[string]string{"type": "com.example."}}}})
//	matches, err := f.Match(&event)
//
//	set := filter.NewSet(all)            // of the filters of many triggers
//	matches = set.Match(&event, matches) // each that the event passes, at the cost of those
//
//	key, err := filter.CompileKey("subject") // an attribute, or a CESQL expression
//	k, err := key.Of(&event)
//
// What is compiled never changes, and any number of goroutines may use it.
package filter

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/broker/internal/cesql"
	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// Spec is what a Trigger says of the events that it wants. Without anything it wants all.
type Spec struct {
	// Attributes are spec.filter.attributes: values that attributes have; an empty value means any, and not that there is none.
	Attributes map[string]string
	// Filters are spec.filters. If there are any, Attributes mean nothing.
	Filters []Expression
}

// Expression is an element of spec.filters, in one dialect of CloudEvents' Subscriptions API. Without a dialect each event passes.
type Expression struct {
	All    []Expression      `json:"all,omitempty"`
	Any    []Expression      `json:"any,omitempty"`
	Not    *Expression       `json:"not,omitempty"`
	Exact  map[string]string `json:"exact,omitempty"`
	Prefix map[string]string `json:"prefix,omitempty"`
	Suffix map[string]string `json:"suffix,omitempty"`
	CESQL  string            `json:"cesql,omitempty"`
}

// Filter is a compiled Spec.
type Filter struct{ root node }

// Compile makes a filter. An error says which field of a Trigger's spec is wrong.
func Compile(spec Spec) (*Filter, error) {
	if len(spec.Filters) > 0 {
		root, err := compileAll(allOf, spec.Filters, "filters")
		return &Filter{root}, err
	}
	for name := range spec.Attributes {
		if !isAttribute(name) {
			return nil, fmt.Errorf("filter.attributes: %s", notAttribute(name))
		}
	}
	return &Filter{tests(exactly, spec.Attributes)}, nil
}

// Match tells whether an event passes. An error says that a CESQL expression couldn't be evaluated for this event, which then
// counts as false; the filter as a whole may match all the same.
func (f *Filter) Match(event *cloudevent.Event) (bool, error) {
	e := evaluation{event: event}
	matches := f.root.match(&e)
	return matches, e.err
}

// kind is what a node tests.
type kind int

const (
	allOf kind = iota
	anyOf
	notOf
	exactly
	prefixed
	suffixed
	inCESQL
)

// node is a test of an event: of one attribute, by an expression, or made of other tests.
type node struct {
	kind        kind
	name, value string // of exactly, where "" is any value, prefixed and suffixed
	nodes       []node // of allOf, anyOf and notOf
	expression  *cesql.Expression
}

// evaluation is that of all filters for one event.
type evaluation struct {
	event *cloudevent.Event
	err   error // the first of an expression
}

func (n *node) match(e *evaluation) bool {
	switch n.kind {
	case allOf:
		for i := range n.nodes {
			if !n.nodes[i].match(e) {
				return false
			}
		}
		return true
	case anyOf:
		for i := range n.nodes {
			if n.nodes[i].match(e) {
				return true
			}
		}
		return false
	case notOf:
		return !n.nodes[0].match(e)
	case inCESQL:
		matches, err := passes(n.expression, e.event)
		if err != nil && e.err == nil {
			e.err = err
		}
		return matches
	}
	value, ok := attribute(e.event, n.name)
	switch {
	case !ok || value == "":
		return false
	case n.kind == prefixed:
		return strings.HasPrefix(value, n.value)
	case n.kind == suffixed:
		return strings.HasSuffix(value, n.value)
	}
	return value == n.value || n.value == ""
}

// attribute returns an attribute by the names that Knative's filters know, which are more than an event has.
func attribute(event *cloudevent.Event, name string) (string, bool) {
	value, ok := event.Attribute(name)
	if ok {
		return value, ok
	}
	switch name {
	case "dataschema": // of 1.0
		return event.Attribute("schemaurl")
	case "schemaurl": // of 0.3
		return event.Attribute("dataschema")
	case "datamediatype":
		value, ok = event.Attribute("datacontenttype")
		value, _, _ = strings.Cut(value, ";")
		return strings.TrimSpace(value), ok
	}
	return "", false
}

func compileAll(k kind, expressions []Expression, path string) (node, error) {
	n := node{kind: k}
	for i, x := range expressions {
		child, err := compile(x, fmt.Sprintf("%s[%d]", path, i))
		if err != nil {
			return node{}, err
		}
		n.nodes = append(n.nodes, child)
	}
	return n, nil
}

func compile(x Expression, path string) (node, error) {
	dialects := []struct {
		name  string
		given bool
		empty bool
	}{
		{"all", x.All != nil, len(x.All) == 0},
		{"any", x.Any != nil, len(x.Any) == 0},
		{"not", x.Not != nil, false},
		{"exact", x.Exact != nil, len(x.Exact) == 0},
		{"prefix", x.Prefix != nil, len(x.Prefix) == 0},
		{"suffix", x.Suffix != nil, len(x.Suffix) == 0},
		{"cesql", x.CESQL != "", false},
	}
	given := ""
	for _, d := range dialects {
		switch {
		case !d.given:
			continue
		case given != "":
			return node{}, fmt.Errorf("%s: has both %s and %s, and a filter has one dialect; put both into all or any", path, given, d.name)
		case d.empty:
			return node{}, fmt.Errorf("%s.%s: is empty", path, d.name)
		}
		given = d.name
	}
	if given == "" {
		return node{kind: allOf}, nil
	}
	path += "." + given
	switch given {
	case "all":
		return compileAll(allOf, x.All, path)
	case "any":
		return compileAll(anyOf, x.Any, path)
	case "not":
		child, err := compile(*x.Not, path)
		return node{kind: notOf, nodes: []node{child}}, err
	case "cesql":
		parsed, err := parse(x.CESQL)
		if err != nil {
			return node{}, fmt.Errorf("%s: %w", path, err)
		}
		return node{kind: inCESQL, expression: parsed}, nil
	}
	values, k := x.Exact, exactly
	switch given {
	case "prefix":
		values, k = x.Prefix, prefixed
	case "suffix":
		values, k = x.Suffix, suffixed
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !isAttribute(name) {
			return node{}, fmt.Errorf("%s: %s", path, notAttribute(name))
		}
		if values[name] == "" {
			return node{}, fmt.Errorf("%s.%s: is empty", path, name)
		}
	}
	return tests(k, values), nil
}

// tests makes a node of tests of attributes, which all have to pass.
func tests(k kind, values map[string]string) node {
	n := node{kind: allOf}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		n.nodes = append(n.nodes, node{kind: k, name: name, value: values[name]})
	}
	if len(n.nodes) == 1 {
		return n.nodes[0]
	}
	return n
}

// attributeName is what Knative's webhook takes: unlike CloudEvents it wants a letter first.
var attributeName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

func isAttribute(name string) bool { return attributeName.MatchString(name) }

func notAttribute(name string) string {
	return fmt.Sprintf("%q is no name of an attribute, which has the letters a to z and digits, and begins with a letter", name)
}
