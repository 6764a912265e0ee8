package template

import (
	"reflect"
	"strings"
	"text/template/parse"
)

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
