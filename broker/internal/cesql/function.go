package cesql

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// mostParameters is how many a function has that takes no list of any length.
const mostParameters = 3

// longestString is how many bytes CONCAT may make. It is ours: 4 KiB of text can name an attribute of 64 KiB a thousand times.
const longestString = 1 << 20

// anyType is what a parameter that isn't cast has.
const anyType = String + 1

// function is a built-in one (§3.5) with a number of parameters that doesn't vary. Its arguments are cast to the types of the parameters.
type function struct {
	name       string
	result     Type
	parameters []Type
	run        func(c *call, arguments [mostParameters]Value) (Value, error)
}

var functions = []function{
	{"ABS", Integer, []Type{Integer}, abs},
	{"BOOL", Boolean, []Type{Boolean}, same},
	{"INT", Integer, []Type{Integer}, same},
	{"IS_BOOL", Boolean, []Type{anyType}, isBool},
	{"IS_INT", Boolean, []Type{anyType}, isInt},
	{"LEFT", String, []Type{String, Integer}, left},
	{"LENGTH", Integer, []Type{String}, length},
	{"LOWER", String, []Type{String}, lower},
	{"RIGHT", String, []Type{String, Integer}, right},
	{"STRING", String, []Type{String}, same},
	{"SUBSTRING", String, []Type{String, Integer}, substring},
	{"SUBSTRING", String, []Type{String, Integer, Integer}, substring},
	{"TRIM", String, []Type{String}, trim},
	{"UPPER", String, []Type{String}, upper},
}

// call is one of a function.
type call struct {
	function  *function
	arguments []operand
	at        place
}

func newCall(name string, arguments []operand, at place) (node, error) {
	switch {
	case name == "CONCAT":
		return &concat{nil, arguments, at}, nil
	case name == "CONCAT_WS" && len(arguments) > 0:
		return &concat{&arguments[0], arguments[1:], at}, nil
	case name == "CONCAT_WS":
		return nil, at.errorf(ErrMissingFunction, "number of arguments of CONCAT_WS: found 0, expected 1 or more")
	}
	var takes []string
	for i := range functions {
		f := &functions[i]
		switch {
		case f.name != name:
		case len(f.parameters) == len(arguments):
			return &call{f, arguments, at}, nil
		default:
			takes = append(takes, fmt.Sprint(len(f.parameters)))
		}
	}
	if takes != nil {
		return nil, at.errorf(ErrMissingFunction, "number of arguments of %s: found %d, expected %s", name, len(arguments), strings.Join(takes, " or "))
	}
	known := []string{"CONCAT", "CONCAT_WS"}
	for _, f := range functions {
		known = append(known, f.name)
	}
	slices.Sort(known)
	return nil, at.errorf(ErrMissingFunction, "found %.64s, expected one of the functions %s", name, strings.Join(slices.Compact(known), ", "))
}

func (n *call) evaluate(a Attributes) (Value, error) {
	var arguments [mostParameters]Value
	for i, o := range n.arguments {
		v, err := o.evaluate(a)
		if err != nil {
			return Value{kind: n.function.result}, err
		}
		if arguments[i], err = o.cast(v, n.function.parameters[i]); err != nil {
			return Value{kind: n.function.result}, err
		}
	}
	return n.function.run(n, arguments)
}

func (o operand) cast(v Value, to Type) (Value, error) {
	switch to {
	case String:
		return ofText(v.String()), nil
	case Integer:
		n, err := o.castInteger(v)
		return ofInt(n), err
	case Boolean:
		b, ok := v.toBoolean()
		if !ok {
			return Value{}, o.castError(v, Boolean)
		}
		return ofBool(b), nil
	}
	return v, nil
}

// same is what a cast does besides that of its argument.
func same(_ *call, x [mostParameters]Value) (Value, error) { return x[0], nil }

func isBool(_ *call, x [mostParameters]Value) (Value, error) {
	_, ok := x[0].toBoolean()
	return ofBool(ok), nil
}

func isInt(_ *call, x [mostParameters]Value) (Value, error) {
	_, ok := x[0].toInteger()
	return ofBool(ok), nil
}

// abs: the highest Integer is the value that the specification has for the error.
func abs(c *call, x [mostParameters]Value) (Value, error) {
	n := x[0].number
	switch {
	case n == math.MinInt32:
		return ofInt(math.MaxInt32), c.at.errorf(ErrMath, "ABS of %d is no Integer, which has 32 bits", n)
	case n < 0:
		n = -n
	}
	return ofInt(n), nil
}

func length(_ *call, x [mostParameters]Value) (Value, error) {
	return ofInt(int32(utf8.RuneCountInString(x[0].text))), nil
}

func lower(_ *call, x [mostParameters]Value) (Value, error) {
	return ofText(strings.ToLower(x[0].text)), nil
}

func upper(_ *call, x [mostParameters]Value) (Value, error) {
	return ofText(strings.ToUpper(x[0].text)), nil
}

func trim(_ *call, x [mostParameters]Value) (Value, error) {
	return ofText(strings.TrimSpace(x[0].text)), nil
}

func left(c *call, x [mostParameters]Value) (Value, error) {
	text, n := x[0].text, int(x[1].number)
	if n < 0 {
		return x[0], c.arguments[1].at.errorf(ErrFunctionEvaluation, "LEFT has the length %d, and takes 0 and more", n)
	}
	rest, _ := skip(text, n) // nothing, if it is shorter
	return ofText(text[:len(text)-len(rest)]), nil
}

func right(c *call, x [mostParameters]Value) (Value, error) {
	text, n := x[0].text, int(x[1].number)
	if n < 0 {
		return x[0], c.arguments[1].at.errorf(ErrFunctionEvaluation, "RIGHT has the length %d, and takes 0 and more", n)
	}
	rest, _ := skip(text, utf8.RuneCountInString(text)-n)
	return ofText(rest), nil
}

func substring(c *call, x [mostParameters]Value) (Value, error) {
	text, position, most := x[0].text, int(x[1].number), math.MaxInt32
	if len(c.arguments) == mostParameters {
		most = int(x[2].number)
	}
	characters := utf8.RuneCountInString(text)
	switch {
	case most < 0:
		return ofText(""), c.arguments[2].at.errorf(ErrFunctionEvaluation, "SUBSTRING has the length %d, and takes 0 and more", most)
	case position > characters || position < -characters:
		return ofText(""), c.arguments[1].at.errorf(ErrFunctionEvaluation, "SUBSTRING has the position %d of a string of %d characters", position, characters)
	case position == 0:
		return ofText(""), nil
	case position < 0:
		position += characters + 1
	}
	text, _ = skip(text, position-1)
	rest, _ := skip(text, most)
	return ofText(text[:len(text)-len(rest)]), nil
}

// concat is CONCAT, and CONCAT_WS with a separator.
type concat struct {
	separator *operand
	parts     []operand
	at        place
}

func (n *concat) evaluate(a Attributes) (Value, error) {
	separator := ""
	if n.separator != nil {
		v, err := n.separator.evaluate(a)
		if err != nil {
			return ofText(""), err
		}
		separator = v.String()
	}
	var all strings.Builder
	for i, o := range n.parts {
		v, err := o.evaluate(a)
		if err != nil {
			return ofText(""), err
		}
		if i > 0 {
			all.WriteString(separator)
		}
		all.WriteString(v.String())
		if all.Len() > longestString {
			return ofText(""), n.at.errorf(ErrFunctionEvaluation, "the strings have more than %d bytes together", longestString)
		}
	}
	return ofText(all.String()), nil
}
