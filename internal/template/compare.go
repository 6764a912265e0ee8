package template

import (
	"errors"
	"fmt"
	"reflect"
)

var errIncomparable = errors.New("values that can't be compared")

// class returns one kind for all kinds that are compared in the same way, and Invalid for those without an order.
func class(v reflect.Value) reflect.Kind {
	switch k := v.Kind(); {
	case k == reflect.Bool, k == reflect.String:
		return k
	case k >= reflect.Int && k <= reflect.Int64:
		return reflect.Int
	case k >= reflect.Uint && k <= reflect.Uintptr:
		return reflect.Uint
	case k == reflect.Float32, k == reflect.Float64:
		return reflect.Float64
	case k == reflect.Complex64, k == reflect.Complex128:
		return reflect.Complex128
	}
	return reflect.Invalid
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Map, reflect.Pointer, reflect.Slice, reflect.Interface, reflect.Chan, reflect.Func:
		return v.IsNil()
	}
	return false
}

// equal compares numbers by value, whatever their size and sign, and any value with nil.
func equal(a, b reflect.Value) (bool, error) {
	switch x, y := class(a), class(b); {
	case x == reflect.Int && y == reflect.Uint:
		return a.Int() >= 0 && uint64(a.Int()) == b.Uint(), nil
	case x == reflect.Uint && y == reflect.Int:
		return equal(b, a)
	case x != y && a.IsValid() && b.IsValid():
		return false, fmt.Errorf("%s and %s: %w", a.Type(), b.Type(), errIncomparable)
	case x != y:
		return false, nil
	case x == reflect.Bool:
		return a.Bool() == b.Bool(), nil
	case x == reflect.String:
		return a.String() == b.String(), nil
	case x == reflect.Int:
		return a.Int() == b.Int(), nil
	case x == reflect.Uint:
		return a.Uint() == b.Uint(), nil
	case x == reflect.Float64:
		return a.Float() == b.Float(), nil
	case x == reflect.Complex128:
		return a.Complex() == b.Complex(), nil
	}
	if a.Kind() != b.Kind() && a.IsValid() && b.IsValid() {
		return false, fmt.Errorf("%s and %s: %w", a.Type(), b.Type(), errIncomparable)
	}
	if isNil(a) || isNil(b) {
		return isNil(a) == isNil(b), nil
	}
	if !b.Type().Comparable() {
		return false, fmt.Errorf("%s: %w", b.Type(), errIncomparable)
	}
	return a.Interface() == b.Interface(), nil
}

func less(a, b reflect.Value) (bool, error) {
	switch x, y := class(a), class(b); {
	case x == reflect.Int && y == reflect.Uint:
		return a.Int() < 0 || uint64(a.Int()) < b.Uint(), nil
	case x == reflect.Uint && y == reflect.Int:
		return b.Int() >= 0 && a.Uint() < uint64(b.Int()), nil
	case x != y:
	case x == reflect.String:
		return a.String() < b.String(), nil
	case x == reflect.Int:
		return a.Int() < b.Int(), nil
	case x == reflect.Uint:
		return a.Uint() < b.Uint(), nil
	case x == reflect.Float64:
		return a.Float() < b.Float(), nil
	}
	return false, errIncomparable
}

func lessOrEqual(a, b reflect.Value) (bool, error) {
	if is, err := less(a, b); is || err != nil {
		return is, err
	}
	return equal(a, b)
}
