package template

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
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

// pipe evaluates a pipeline and sets its variables. It returns the invalid value if the pipeline has none.
func (s *state) pipe(dot reflect.Value, p *parse.PipeNode) (v reflect.Value) {
	if p == nil {
		return v
	}
	var last []reflect.Value
	for _, cmd := range p.Cmds {
		if v = s.command(dot, cmd, last); v.Kind() == reflect.Interface && v.NumMethod() == 0 {
			v = v.Elem()
		}
		last = []reflect.Value{v}
	}
	s.declare(p, v)
	return v
}

// declare sets the variables of a pipeline.
func (s *state) declare(p *parse.PipeNode, v reflect.Value) {
	for _, d := range p.Decl {
		if p.IsAssign {
			s.variable(d.Ident[0]).value = v
		} else {
			s.vars = append(s.vars, variable{d.Ident[0], v})
		}
	}
}

// variable finds the innermost variable of a name. The parser has checked that it exists.
func (s *state) variable(name string) *variable {
	i := len(s.vars) - 1
	for s.vars[i].name != name {
		i--
	}
	return &s.vars[i]
}

// command evaluates a command of a pipeline; last has the value of the previous command, if any, as the last argument.
func (s *state) command(dot reflect.Value, cmd *parse.CommandNode, last []reflect.Value) reflect.Value {
	args := cmd.Args[1:]
	switch n := cmd.Args[0].(type) {
	case *parse.FieldNode:
		return s.chain(dot, dot, n, n.Ident, args, last)
	case *parse.ChainNode:
		return s.chain(dot, s.operand(dot, n.Node), n, n.Field, args, last)
	case *parse.VariableNode:
		if len(n.Ident) > 1 {
			return s.chain(dot, s.variable(n.Ident[0]).value, n, n.Ident[1:], args, last)
		}
	case *parse.IdentifierNode:
		return s.function(dot, n, args, last)
	case *parse.NilNode:
		s.fail(n, "nil is not a command")
	}
	if len(args)+len(last) > 0 {
		s.fail(cmd, "%s takes no arguments", cmd.Args[0])
	}
	return s.operand(dot, cmd.Args[0])
}

// operand evaluates an argument, or a command without arguments.
func (s *state) operand(dot reflect.Value, n parse.Node) reflect.Value {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		return s.chain(dot, dot, n, n.Ident, nil, nil)
	case *parse.ChainNode:
		return s.chain(dot, s.operand(dot, n.Node), n, n.Field, nil, nil)
	case *parse.VariableNode:
		return s.chain(dot, s.variable(n.Ident[0]).value, n, n.Ident[1:], nil, nil)
	case *parse.IdentifierNode:
		return s.function(dot, n, nil, nil)
	case *parse.PipeNode:
		return s.pipe(dot, n)
	case *parse.BoolNode:
		return reflect.ValueOf(n.True)
	case *parse.StringNode:
		return reflect.ValueOf(n.Text)
	case *parse.NumberNode:
		return s.number(n)
	}
	return reflect.Value{} // nil
}

// number returns a constant with the type of its syntax.
func (s *state) number(n *parse.NumberNode) reflect.Value {
	hex := strings.HasPrefix(strings.ToLower(n.Text), "0x") && !strings.ContainsAny(n.Text, "pP")
	switch {
	case n.IsComplex:
		return reflect.ValueOf(n.Complex128)
	case n.IsFloat && !hex && n.Text[0] != '\'' && strings.ContainsAny(n.Text, ".eEpP"):
		return reflect.ValueOf(n.Float64)
	case !n.IsInt:
		s.fail(n, "%s overflows int", n.Text)
	}
	return reflect.ValueOf(int(n.Int64))
}

// chain evaluates .A.B.C of v. The last name may be a method with arguments.
func (s *state) chain(dot, v reflect.Value, n parse.Node, names []string, args []parse.Node, last []reflect.Value) reflect.Value {
	for i, name := range names {
		if i < len(names)-1 {
			v = s.member(dot, v, n, name, nil, nil)
		} else {
			v = s.member(dot, v, n, name, args, last)
		}
	}
	return v
}

// member returns a method's result, a field, or a map's value. Any member of an invalid value is an invalid value.
func (s *state) member(dot, v reflect.Value, n parse.Node, name string, args []parse.Node, last []reflect.Value) reflect.Value {
	if !v.IsValid() {
		return v
	}
	v, null := indirect(v)
	t := v.Type()
	if null {
		t = base(t)
	}
	if fn := s.template.methods[t][name]; fn != nil {
		return s.call(dot, v, n, reflect.ValueOf(fn), args, last)
	}
	if len(args)+len(last) > 0 {
		s.fail(n, "%s takes no arguments", name)
	}
	if null {
		s.fail(n, "%s of a nil %s", name, v.Type())
	}
	switch t.Kind() {
	case reflect.Struct:
		if field, ok := t.FieldByName(name); ok && field.IsExported() {
			return v.FieldByIndex(field.Index)
		}
	case reflect.Map:
		if key := reflect.ValueOf(name); key.Type().AssignableTo(t.Key()) {
			return v.MapIndex(key)
		}
	}
	s.fail(n, "%s has no %s that can be used", t, name)
	return v
}

// call calls a method of v; the arguments must have exactly the types of its parameters.
func (s *state) call(dot, v reflect.Value, n parse.Node, fn reflect.Value, args []parse.Node, last []reflect.Value) reflect.Value {
	t := fn.Type()
	if len(args)+len(last) != t.NumIn()-1 {
		s.fail(n, "%d arguments are expected", t.NumIn()-1)
	}
	if v.Type() != t.In(0) && v.CanAddr() {
		v = v.Addr()
	}
	values := []reflect.Value{v}
	for i, arg := range args {
		values = append(values, s.converted(arg, s.operand(dot, arg), t.In(i+1)))
	}
	for _, v := range last {
		values = append(values, s.converted(n, v, t.In(len(values))))
	}
	for i, v := range values {
		if !v.IsValid() || v.Type() != t.In(i) {
			s.fail(n, "a %s is expected", t.In(i))
		}
	}
	out := fn.Call(values)
	if len(out) == 2 && !out[1].IsNil() {
		s.fail(n, "%w", out[1].Interface().(error))
	}
	return out[0]
}

// converted converts a constant argument to the type t of a parameter: 1.0 is also an int.
func (s *state) converted(n parse.Node, v reflect.Value, t reflect.Type) reflect.Value {
	if number, ok := n.(*parse.NumberNode); ok && number.IsInt && t.Kind() == reflect.Int {
		return reflect.ValueOf(int(number.Int64))
	}
	if v.IsValid() && v.Type() != t && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		return v.Elem()
	}
	return v
}

// function calls a function.
func (s *state) function(dot reflect.Value, n *parse.IdentifierNode, args []parse.Node, last []reflect.Value) reflect.Value {
	if n.Ident == "and" || n.Ident == "or" {
		return s.choice(dot, n, args, last)
	}
	fn := s.template.funcs[n.Ident]
	if got := len(args) + len(last); got < fn.min || got > fn.max {
		s.fail(n, "%s does not take %d arguments", n, got)
	}
	values := make([]reflect.Value, 0, len(args)+1)
	for _, arg := range args {
		values = append(values, s.operand(dot, arg))
	}
	v, err := fn.call(append(values, last...))
	if err != nil {
		s.fail(n, "%s: %w", n, err)
	}
	return v
}

// choice evaluates and, or: it returns the first argument that decides, or the last one.
func (s *state) choice(dot reflect.Value, n *parse.IdentifierNode, args []parse.Node, last []reflect.Value) (v reflect.Value) {
	if len(args)+len(last) == 0 {
		s.fail(n, "%s has no arguments", n)
	}
	for _, arg := range args {
		if v = s.operand(dot, arg); truth(v) == (n.Ident == "or") {
			return v
		}
	}
	if len(last) > 0 {
		return last[0]
	}
	return v
}
