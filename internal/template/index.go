package template

import (
	"errors"
	"fmt"
	"reflect"
)

var errNil = errors.New("nil")

// index returns x[1][2][3] for the arguments x 1 2 3.
func index(args []reflect.Value) (reflect.Value, error) {
	v := concrete(args[0])
	if !v.IsValid() {
		return v, errNil
	}
	for _, at := range args[1:] {
		var null bool
		if v, null = indirect(v); null {
			return v, errNil
		}
		var err error
		switch v.Kind() {
		case reflect.Array, reflect.Slice, reflect.String:
			var i int
			if i, err = position(concrete(at), v.Len()); err == nil {
				v = v.Index(i)
			}
		case reflect.Map:
			v, err = lookup(v, concrete(at))
		default:
			err = fmt.Errorf("%s has no index", v.Type())
		}
		if err != nil {
			return v, err
		}
	}
	return v, nil
}

// lookup returns m[key], or the zero value.
func lookup(m, key reflect.Value) (reflect.Value, error) {
	want := m.Type().Key()
	switch {
	case !key.IsValid():
		return m, errNil
	case key.Type().AssignableTo(want):
	case isInt(key.Kind()) && isInt(want.Kind()):
		key = key.Convert(want)
	default:
		return m, fmt.Errorf("the key is a %s, expected a %s", key.Type(), want)
	}
	if v := m.MapIndex(key); v.IsValid() {
		return v, nil
	}
	return reflect.Zero(m.Type().Elem()), nil
}

// position returns v as a number from 0 to most.
func position(v reflect.Value, most int) (int, error) {
	var n int64
	switch class(v) {
	case reflect.Int:
		n = v.Int()
	case reflect.Uint:
		n = int64(v.Uint())
	default:
		return 0, errors.New("the index is not a number")
	}
	if n < 0 || n > int64(most) {
		return 0, fmt.Errorf("index %d is out of range", n)
	}
	return int(n), nil
}

// slice returns x[1:2:3] for the arguments x 1 2 3.
func slice(args []reflect.Value) (reflect.Value, error) {
	v, null := indirect(args[0])
	if null || !v.IsValid() {
		return v, errNil
	}
	most := 0
	switch k := v.Kind(); {
	case k == reflect.String && len(args) < 4:
		most = v.Len()
	case k == reflect.Slice, k == reflect.Array:
		most = v.Cap()
	default:
		return v, fmt.Errorf("%s can't be sliced with these indices", v.Type())
	}
	at := [3]int{0, v.Len(), most}
	for i, arg := range args[1:] {
		var err error
		if at[i], err = position(arg, most); err != nil {
			return v, err
		}
	}
	if at[0] > at[1] || at[1] > at[2] {
		return v, fmt.Errorf("index %d is out of order", at[0])
	}
	if len(args) < 4 {
		return v.Slice(at[0], at[1]), nil
	}
	return v.Slice3(at[0], at[1], at[2]), nil
}

func length(args []reflect.Value) (reflect.Value, error) {
	v, null := indirect(args[0])
	if null {
		return v, errNil
	}
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return reflect.ValueOf(v.Len()), nil
	}
	return v, errors.New("the argument has no length")
}
