package kubeapi

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// mergeStrategically merges a strategic merge patch into an object, which it changes. The fields' strategies and keys are in the
// tags of like, a pointer to a struct. https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
//
// It does what apimachinery's package strategicpatch does, which a test compares it with. That package also links a parser of
// OpenAPI, which would take a sixth of the time in which the quickstart is built.
func mergeStrategically(object, patch map[string]any, like any) (map[string]any, error) {
	return mergeObjects(object, patch, reflect.TypeOf(like).Elem())
}

// The directives in patches, alone or followed by the name of a list.
const (
	directive    = "$patch" // merge, replace or delete
	retainKeys   = "$retainKeys"
	deleteValues = "$deleteFromPrimitiveList/"
	elementOrder = "$setElementOrder/"
)

// strategy is how a field is merged.
type strategy struct {
	of    reflect.Type // nil: unknown
	merge bool         // a list; otherwise it is replaced
	key   string       // of the elements of a merged list; "": they are values
}

// strategyOf returns the strategy of a field of t.
func strategyOf(t reflect.Type, name string) strategy {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil:
		return strategy{}
	case t.Kind() == reflect.Map:
		return strategy{of: t.Elem()}
	case t.Kind() != reflect.Struct:
		return strategy{}
	}
	for f := range t.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			s := strategy{of: f.Type, key: f.Tag.Get("patchMergeKey")}
			s.merge = slices.Contains(strings.Split(f.Tag.Get("patchStrategy"), ","), "merge")
			return s
		}
	}
	return strategy{}
}

// mergeObjects merges a patch into an object of type t. It consumes both.
func mergeObjects(object, patch map[string]any, t reflect.Type) (map[string]any, error) {
	if object == nil {
		object = map[string]any{}
	}
	switch d := patch[directive]; d {
	case nil, "merge":
	case "replace":
		object = map[string]any{}
	case "delete":
		return map[string]any{}, nil
	default:
		return nil, fmt.Errorf("unknown patch type %v in %s: it has to be merge, replace or delete", d, directive)
	}
	delete(patch, directive)
	if keep, ok := patch[retainKeys]; ok {
		list, isList := keep.([]any)
		if !isList {
			return nil, fmt.Errorf("%s has to be a list of names", retainKeys)
		}
		for name := range object {
			if !slices.Contains(list, any(name)) {
				delete(object, name)
			}
		}
		delete(patch, retainKeys)
	}
	for name, v := range patch {
		if list, ok := strings.CutPrefix(name, deleteValues); ok {
			values, isList := v.([]any)
			if !isList {
				return nil, fmt.Errorf("%s has to be a list", name)
			}
			if from, ok := object[list].([]any); ok {
				object[list] = slices.DeleteFunc(from, func(e any) bool { return contains(values, e) })
			}
		}
	}
	for name, v := range patch {
		switch {
		case strings.HasPrefix(name, deleteValues), strings.HasPrefix(name, elementOrder):
		case v == nil:
			delete(object, name)
		default:
			merged, err := mergeValues(object[name], v, strategyOf(t, name))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			object[name] = merged
		}
	}
	for name, v := range patch {
		if list, ok := strings.CutPrefix(name, elementOrder); ok {
			wanted, isList := v.([]any)
			if !isList {
				return nil, fmt.Errorf("%s has to be a list", name)
			}
			if elements, ok := object[list].([]any); ok {
				order(elements, wanted, strategyOf(t, list).key)
			}
		}
	}
	return object, nil
}

// mergeValues merges a patch into the value of a field.
func mergeValues(value, patch any, s strategy) (any, error) {
	switch patch := patch.(type) {
	case map[string]any:
		object, _ := value.(map[string]any)
		return mergeObjects(object, patch, s.of)
	case []any:
		list, _ := value.([]any)
		switch {
		case !s.merge:
			return patch, nil
		case s.key != "":
			return mergeElements(list, patch, s)
		}
		for _, v := range patch {
			if !contains(list, v) {
				list = append(list, v)
			}
		}
		return list, nil
	}
	return patch, nil
}

// mergeElements merges a patch into a list whose elements have keys.
func mergeElements(list, patch []any, s strategy) ([]any, error) {
	if slices.ContainsFunc(patch, func(p any) bool { return reflect.DeepEqual(p, map[string]any{directive: "replace"}) }) {
		list = nil
	}
	for _, p := range patch {
		element, ok := p.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%v is no object with the key %s", p, s.key)
		}
		if element[directive] == "replace" && len(element) == 1 {
			continue // of the list
		}
		key, ok := element[s.key]
		if !ok {
			return nil, fmt.Errorf("%v doesn't contain the merge key %s", p, s.key)
		}
		same := func(e any) bool { return reflect.DeepEqual(keyOf(e, s.key), key) }
		if element[directive] == "delete" {
			list = slices.DeleteFunc(list, same)
			continue
		}
		var elementType reflect.Type
		if s.of != nil && s.of.Kind() == reflect.Slice {
			elementType = s.of.Elem()
		}
		at := slices.IndexFunc(list, same)
		if at < 0 {
			at, list = len(list), append(list, nil)
		}
		object, _ := list[at].(map[string]any)
		merged, err := mergeObjects(object, element, elementType)
		if err != nil {
			return nil, err
		}
		list[at] = merged
	}
	return list, nil
}

// order sorts the elements that are in wanted, by their keys or themselves; others stay where they are.
func order(elements, wanted []any, key string) {
	place := func(e any) int {
		return slices.IndexFunc(wanted, func(w any) bool { return reflect.DeepEqual(keyOf(w, key), keyOf(e, key)) })
	}
	var at []int
	var listed []any
	for i, e := range elements {
		if place(e) >= 0 {
			at, listed = append(at, i), append(listed, e)
		}
	}
	slices.SortStableFunc(listed, func(a, b any) int { return place(a) - place(b) })
	for i, e := range listed {
		elements[at[i]] = e
	}
}

// keyOf returns the key of an element of a list; with "" the element itself.
func keyOf(element any, key string) any {
	if key == "" {
		return element
	}
	object, _ := element.(map[string]any)
	return object[key]
}

func contains(list []any, v any) bool {
	return slices.ContainsFunc(list, func(e any) bool { return reflect.DeepEqual(e, v) })
}
