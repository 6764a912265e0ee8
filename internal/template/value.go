package template

import (
	"fmt"
	"reflect"
)

// base returns the type to which t points, through any number of pointers.
func base(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// indirect follows pointers and interfaces, and reports whether it met a nil one.
func indirect(v reflect.Value) (_ reflect.Value, null bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return v, true
		}
		v = v.Elem()
	}
	return v, false
}

// concrete returns the value in an interface, or v if it is not an interface.
func concrete(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Interface {
		return v.Elem()
	}
	return v
}

func isInt(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uintptr }

func truth(v reflect.Value) bool {
	switch v = concrete(v); v.Kind() {
	case reflect.Invalid:
		return false
	case reflect.Struct:
		return true
	case reflect.Slice, reflect.Map, reflect.String, reflect.Array:
		return v.Len() > 0
	case reflect.Float32, reflect.Float64:
		return v.Float() != 0 // nor is -0
	case reflect.Complex64, reflect.Complex128:
		return v.Complex() != 0
	}
	return !v.IsZero()
}

// printable returns v for fmt, and reports whether it can be printed.
func printable(v reflect.Value) (any, bool) {
	if v.Kind() == reflect.Pointer {
		v, _ = indirect(v)
	}
	switch {
	case !v.IsValid():
		return "<no value>", true
	case prints(v.Type()):
	case v.CanAddr() && prints(reflect.PointerTo(v.Type())):
		v = v.Addr()
	case v.Kind() == reflect.Chan, v.Kind() == reflect.Func:
		return nil, false
	}
	return v.Interface(), true
}

// prints reports whether a type is an error or a fmt.Stringer.
func prints(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[error]()) || t.Implements(reflect.TypeFor[fmt.Stringer]())
}

// free returns the values as arguments of type any.
func free(values []reflect.Value) []any {
	all := make([]any, len(values))
	for i, v := range values {
		if v.IsValid() {
			all[i] = v.Interface()
		}
	}
	return all
}
