package template

import (
	"bytes"
	"fmt"
	"reflect"
	"text/template/parse"
)

// Methods are, by type and name, the methods that templates may call: functions whose first parameter is the receiver, and
// which return a value, or a value and an error. The type is not a pointer type, but the receiver may be a pointer. A nil
// function forbids a method or field that the type has.
type Methods map[reflect.Type]map[string]any

// Template is a parsed text.
type Template struct {
	trees   map[string]*parse.Tree
	main    *parse.Tree
	funcs   map[string]function
	methods Methods
}

// failure is the error of a template. Parse and Execute panic with it and recover.
type failure struct{ error }

// Parse returns the template of text, or an error with the position of the part that can't be used.
func Parse(name, text string, m Methods) (t *Template, err error) {
	known := map[string]any{"and": true, "or": true}
	funcs := functions()
	for name := range funcs {
		known[name] = true
	}
	trees, err := parse.Parse(name, text, "{{", "}}", known)
	if err != nil {
		return nil, err
	}
	defer caught(&err)
	t = &Template{trees, trees[name], funcs, m}
	for _, tree := range trees {
		t.checkAll(tree, tree.Root)
	}
	return t, nil
}

// Execute appends the template's output for data to out. An action that fails appends nothing, and its value counts as an
// empty string: if is false, range has no elements. All other actions are executed, unless a bound is exceeded, which ends the
// execution. The error is that of the first failure.
func (t *Template) Execute(out *bytes.Buffer, data any) (err error) {
	v := reflect.ValueOf(data)
	left := maxSteps
	s := &state{
		template: t, tree: t.main, out: out, vars: []variable{{"$", v}}, left: &left, full: out.Len() + maxBytes, failed: &err,
	}
	defer s.caught()
	s.list(v, t.main.Root)
	return err
}

// caught recovers from a panic and sets err to its error.
func caught(err *error) {
	if e := recover(); e != nil {
		*err = asError(e)
	}
}

// asError makes an error of the value of a panic, which may be that of a method.
func asError(thrown any) error {
	if e, ok := thrown.(failure); ok {
		return e.error
	}
	return fmt.Errorf("template: %v", thrown)
}

func fail(t *parse.Tree, n parse.Node, format string, args ...any) {
	where, what := t.ErrorContext(n)
	panic(failure{fmt.Errorf("template: %s: at <%s>: %w", where, what, fmt.Errorf(format, args...))})
}

// check fails at the first name that the table forbids.
func (t *Template) check(tree *parse.Tree, n parse.Node, names []string) {
	for _, name := range names {
		for typ, methods := range t.methods {
			if fn, ok := methods[name]; ok && fn == nil {
				fail(tree, n, "%s of %s can't be used here", name, typ)
			}
		}
	}
}

// checkAll checks the names of a node and of those within it.
func (t *Template) checkAll(tree *parse.Tree, n parse.Node) {
	branch := func(n *parse.BranchNode) {
		t.checkAll(tree, n.Pipe)
		t.checkAll(tree, n.List)
		if n.ElseList != nil {
			t.checkAll(tree, n.ElseList)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, n := range n.Nodes {
			t.checkAll(tree, n)
		}
	case *parse.ActionNode:
		t.checkAll(tree, n.Pipe)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			t.checkAll(tree, n.Pipe)
		}
	case *parse.PipeNode:
		for _, cmd := range n.Cmds {
			for _, n := range cmd.Args {
				t.checkAll(tree, n)
			}
		}
	case *parse.FieldNode:
		t.check(tree, n, n.Ident)
	case *parse.VariableNode:
		t.check(tree, n, n.Ident[1:])
	case *parse.ChainNode:
		t.check(tree, n, n.Field)
		t.checkAll(tree, n.Node)
	}
}
