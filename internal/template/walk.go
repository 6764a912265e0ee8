package template

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"text/template/parse"
)

// The bounds of one execution. An operator's template is trusted, but it is executed for each request.
const (
	maxDepth = 1000    // of templates that invoke each other
	maxSteps = 100_000 // lists and nodes; this also keeps the stack within Go's limit
	maxBytes = 1 << 20 // of output: a log accepts no longer line
)

// state is one execution of one template.
type state struct {
	template *Template
	tree     *parse.Tree
	out      *bytes.Buffer
	vars     []variable // the innermost last
	depth    int
	left     *int // steps that are left
	full     int  // maximum size of out
	failed   *error
}

type variable struct {
	name  string
	value reflect.Value
}

// flow is how execution continues after a node.
type flow uint8

const (
	next flow = iota
	breaks
	continues
)

func (s *state) fail(n parse.Node, format string, args ...any) {
	if *s.failed != nil { // only the first error is returned
		panic(failure{*s.failed})
	}
	fail(s.tree, n, format, args...)
}

// note records an error without ending the execution.
func (s *state) note(n parse.Node, format string, args ...any) {
	defer s.caught()
	s.fail(n, format, args...)
}

func (s *state) noted(thrown any) {
	if *s.failed == nil {
		*s.failed = asError(thrown)
	}
}

// caught recovers from a panic and records its error.
func (s *state) caught() {
	if e := recover(); e != nil {
		s.noted(e)
	}
}

// value returns the value of a pipeline, or an empty string and false if it fails.
func (s *state) value(dot reflect.Value, p *parse.PipeNode) (v reflect.Value, ok bool) {
	if p == nil {
		return v, true
	}
	defer func(vars int) {
		if e := recover(); e != nil {
			s.noted(e)
			s.leave(vars) // of a pipeline within
			v = reflect.ValueOf("")
			s.declare(p, v)
		}
	}(len(s.vars))
	return s.pipe(dot, p), true
}

func (s *state) list(dot reflect.Value, l *parse.ListNode) flow {
	if l == nil {
		return next
	}
	s.spend(l)
	for _, n := range l.Nodes {
		s.spend(n)
		if how := s.node(dot, n); how != next {
			return how
		}
	}
	return next
}

// spend counts a step, and fails if a bound is exceeded.
func (s *state) spend(n parse.Node) {
	if *s.left--; *s.left < 0 {
		s.fail(n, "more than %d steps", maxSteps)
	}
	if s.out.Len() > s.full {
		s.fail(n, "more than %d bytes", maxBytes)
	}
}

func (s *state) node(dot reflect.Value, n parse.Node) flow {
	switch n := n.(type) {
	case *parse.TextNode:
		_, _ = s.out.Write(n.Text)
	case *parse.ActionNode:
		if v, ok := s.value(dot, n.Pipe); ok && len(n.Pipe.Decl) == 0 {
			s.print(n, v)
		}
	case *parse.IfNode:
		return s.branch(dot, &n.BranchNode)
	case *parse.WithNode:
		return s.branch(dot, &n.BranchNode)
	case *parse.RangeNode:
		return s.loop(dot, n)
	case *parse.TemplateNode:
		s.invoke(dot, n)
	case *parse.BreakNode:
		return breaks
	case *parse.ContinueNode:
		return continues
	}
	return next
}

func (s *state) print(n *parse.ActionNode, v reflect.Value) {
	if shown, ok := printable(v); ok {
		_, _ = fmt.Fprint(s.out, shown)
	} else {
		s.note(n, "can't print a %s", v.Type())
	}
}

// leave ends the scope of all variables after the first n.
func (s *state) leave(n int) { s.vars = s.vars[:n] }

// branch executes an if or with.
func (s *state) branch(dot reflect.Value, n *parse.BranchNode) flow {
	defer s.leave(len(s.vars))
	v, _ := s.value(dot, n.Pipe)
	switch {
	case !truth(v):
		return s.list(dot, n.ElseList)
	case n.NodeType == parse.NodeWith:
		return s.list(v, n.List)
	}
	return s.list(dot, n.List)
}

func (s *state) invoke(dot reflect.Value, n *parse.TemplateNode) {
	tree := s.template.trees[n.Name]
	if tree == nil {
		s.note(n, "template %q is not defined", n.Name)
		return
	}
	if s.depth == maxDepth {
		s.fail(n, "templates invoke each other more than %d deep", maxDepth)
	}
	dot, _ = s.value(dot, n.Pipe)
	inner := state{s.template, tree, s.out, []variable{{"$", dot}}, s.depth + 1, s.left, s.full, s.failed}
	inner.list(dot, tree.Root)
}

// loop executes a range.
func (s *state) loop(dot reflect.Value, n *parse.RangeNode) flow {
	defer s.leave(len(s.vars))
	value, ok := s.value(dot, n.Pipe)
	over, _ := indirect(value)
	if !ok {
		over = reflect.Value{}
	}
	mark, decl, ran := len(s.vars), n.Pipe.Decl, false
	s.iterate(n, over, func(key, elem reflect.Value) bool {
		defer s.leave(mark)
		ran = true
		for i, v := range decl {
			value := elem
			if i < len(decl)-1 {
				value = key
			}
			if n.Pipe.IsAssign {
				s.variable(v.Ident[0]).value = value
			} else {
				s.vars[mark-len(decl)+i].value = value
			}
		}
		return s.list(elem, n.List) != breaks
	})
	if !ran {
		return s.list(dot, n.ElseList)
	}
	return next
}

// iterate calls yield for each element of v, in the order of the keys for a map, until it returns false.
func (s *state) iterate(n *parse.RangeNode, v reflect.Value, yield func(key, elem reflect.Value) bool) {
	switch k := v.Kind(); {
	case k == reflect.Invalid:
	case isInt(k) && len(n.Pipe.Decl) < 2:
		v.Seq()(func(i reflect.Value) bool { return yield(reflect.Value{}, i) })
	case k == reflect.Slice, k == reflect.Array:
		for i := range v.Len() {
			if !yield(reflect.ValueOf(i), v.Index(i)) {
				return
			}
		}
	case k == reflect.Map && v.Type().Key().Kind() == reflect.String:
		keys := make([]string, 0, v.Len())
		for _, key := range v.MapKeys() {
			keys = append(keys, key.String())
		}
		slices.Sort(keys)
		for _, name := range keys {
			key := reflect.ValueOf(name).Convert(v.Type().Key())
			if !yield(key, v.MapIndex(key)) {
				return
			}
		}
	default:
		s.note(n, "can't range over a %s", v.Type())
	}
}
