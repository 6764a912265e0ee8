package template

import (
	"reflect"
	"text/template"
)

// base is t without pointers.
func base(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// indirect follows pointers and interfaces, up to a nil one.
func indirect(v reflect.Value) (_ reflect.Value, null bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return v, true
		}
		v = v.Elem()
	}
	return v, false
}

// concrete is what is in an interface, if v is one.
func concrete(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Interface {
		return v.Elem()
	}
	return v
}

func isInt(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uintptr }

func truth(v reflect.Value) bool {
	t, _ := template.IsTrue(free([]reflect.Value{v})[0])
	return t
}

// free is values for parameters of any type.
func free(values []reflect.Value) []any {
	all := make([]any, len(values))
	for i, v := range values {
		if v.IsValid() {
			all[i] = v.Interface()
		}
	}
	return all
}
