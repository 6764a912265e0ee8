package template

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
)

// function is a function that templates may call, with at least min arguments and at most max.
type function struct {
	min, max int
	call     func(args []reflect.Value) (reflect.Value, error)
}

const many = 1 << 30

// functions are those of text/template, except and, or, which don't evaluate all arguments, and call, since data has no
// functions.
func functions() map[string]function {
	return map[string]function{
		"html":     escaper(escapeHTML),
		"js":       escaper(EscapeJS),
		"urlquery": escaper(url.QueryEscape),
		"print":    text(fmt.Sprint),
		"println":  text(fmt.Sprintln),
		"printf":   {1, many, printf},

		"index": {1, many, index},
		"slice": {1, many, slice},
		"len":   {1, 1, length},

		"not": {1, 1, not},
		"eq":  {2, many, equalsAny},
		"ne":  compare(equal, false),
		"lt":  compare(less, true),
		"le":  compare(lessOrEqual, true),
		"gt":  compare(lessOrEqual, false),
		"ge":  compare(less, false),
	}
}

func text(f func(...any) string) function {
	return function{0, many, func(args []reflect.Value) (reflect.Value, error) {
		return reflect.ValueOf(f(free(args)...)), nil
	}}
}

func printf(args []reflect.Value) (reflect.Value, error) {
	format := args[0]
	if format.Kind() == reflect.Pointer {
		format = format.Elem()
	}
	if !format.IsValid() || format.Type() != reflect.TypeFor[string]() {
		return format, errors.New("the format is not a string")
	}
	return reflect.ValueOf(fmt.Sprintf(format.String(), free(args[1:])...)), nil
}

func not(args []reflect.Value) (reflect.Value, error) { return reflect.ValueOf(!truth(args[0])), nil }

// compare makes a function that reports whether a relation holds, or with holds false that it does not.
func compare(related func(a, b reflect.Value) (bool, error), holds bool) function {
	return function{2, 2, func(args []reflect.Value) (reflect.Value, error) {
		is, err := related(concrete(args[0]), concrete(args[1]))
		return reflect.ValueOf(is == holds), err
	}}
}

func equalsAny(args []reflect.Value) (reflect.Value, error) {
	for _, b := range args[1:] {
		if is, err := equal(concrete(args[0]), concrete(b)); is || err != nil {
			return reflect.ValueOf(is), err
		}
	}
	return reflect.ValueOf(false), nil
}
