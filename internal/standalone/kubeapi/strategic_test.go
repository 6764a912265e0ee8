package kubeapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"pgregory.net/rapid"
)

// sorted returns a JSON value with its lists sorted and without nulls: the library moves elements of a patch before others, and
// keeps the nulls of what is new.
func sorted(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			if e != nil {
				m[k] = sorted(e)
			}
		}
		return m
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, sorted(e))
		}
		slices.SortFunc(list, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return list
	}
	return v
}

// drawSpec draws a part of a pod, or a patch for object.
func drawSpec(t *rapid.T, object map[string]any) map[string]any {
	patch := object != nil
	// The library keeps directives for what the object doesn't have.
	has := func(fields ...string) bool {
		_, ok, _ := unstructured.NestedFieldNoCopy(object, fields...)
		return ok
	}
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	maybe := func(label string) bool { return rapid.Bool().Draw(t, label) }
	elements := func(label string, directives bool, draw func(map[string]any)) []any {
		list := []any{}
		for _, n := range rapid.SliceOfNDistinct(name, 0, 3, rapid.ID).Draw(t, label) {
			e := map[string]any{"name": n}
			switch d := rapid.IntRange(0, 5).Draw(t, "directive"); {
			case directives && d == 0:
				e[directive] = "delete"
			default:
				draw(e)
			}
			list = append(list, e)
		}
		if directives && rapid.IntRange(0, 9).Draw(t, "replace") == 0 {
			list = append(list, map[string]any{directive: "replace"})
		}
		return list
	}
	plain := func(o map[string]any, field string) {
		switch {
		case maybe(field):
			o[field] = name.Draw(t, field)
		case patch && maybe(field+" removed"):
			o[field] = nil
		}
	}
	spec := map[string]any{}
	plain(spec, "nodeName")
	if maybe("containers") {
		spec["containers"] = elements("containers", has("spec", "containers"), func(e map[string]any) {
			plain(e, "image")
			if maybe("args") {
				e["args"] = []any{name.Draw(t, "arg")}
			}
			if maybe("env") {
				e["env"] = elements("env", false, func(e map[string]any) { plain(e, "value") })
			}
		})
	}
	if maybe("nodeSelector") {
		selector := map[string]any{}
		plain(selector, "x")
		plain(selector, "y")
		if has("spec", "nodeSelector") && rapid.IntRange(0, 5).Draw(t, "replace map") == 0 {
			selector[directive] = rapid.SampledFrom([]string{"replace", "delete"}).Draw(t, "directive of a map")
		}
		spec["nodeSelector"] = selector
	}
	if patch && rapid.IntRange(0, 5).Draw(t, "retain") == 0 {
		keep := []any{"nodeName"}
		for field := range spec {
			keep = append(keep, field)
		}
		spec[retainKeys] = keep
	}
	drawn := map[string]any{"spec": spec}
	if maybe("finalizers") {
		metadata := map[string]any{"finalizers": toAny(rapid.SliceOfNDistinct(name, 0, 3, rapid.ID).Draw(t, "finalizers"))}
		if has("metadata") && maybe("delete finalizers") {
			metadata[deleteValues+"finalizers"] = toAny(rapid.SliceOfNDistinct(name, 1, 2, rapid.ID).Draw(t, "deleted"))
			delete(metadata, "finalizers")
		}
		drawn["metadata"] = metadata
	}
	return drawn
}

func toAny(list []string) []any {
	all := []any{}
	for _, s := range list {
		all = append(all, s)
	}
	return all
}

func TestStrategicMergeIsKubernetes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object := drawSpec(t, nil)
		patch := drawSpec(t, object)
		want, err := strategicpatch.StrategicMergeMapPatch(runtime.DeepCopyJSON(object), runtime.DeepCopyJSON(patch), &corev1.Pod{})
		if err != nil {
			t.Fatalf("%v, %v: %v", object, patch, err)
		}
		got, err := mergeStrategically(runtime.DeepCopyJSON(object), runtime.DeepCopyJSON(patch), &corev1.Pod{})
		if err != nil || !reflect.DeepEqual(sorted(got), sorted(map[string]any(want))) {
			t.Fatalf("%v and %v:\n got %v, %v\nwant %v", object, patch, got, err, want)
		}
	})
}

func TestStrategicMergeOrder(t *testing.T) {
	for _, c := range []struct{ object, patch, want string }{
		{
			`{"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}}`,
			`{"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"d"},{"name":"a"}],"containers":[{"name":"d"}]}}`,
			`{"spec":{"containers":[{"name":"c"},{"name":"b"},{"name":"d"},{"name":"a"}]}}`,
		},
		{
			`{"metadata":{"finalizers":["a","b"]}}`, `{"metadata":{"$setElementOrder/finalizers":["c","b"],"finalizers":["c"]}}`,
			`{"metadata":{"finalizers":["a","c","b"]}}`,
		},
	} {
		var object, patch map[string]any
		if err := cmp.Or(json.Unmarshal([]byte(c.object), &object), json.Unmarshal([]byte(c.patch), &patch)); err != nil {
			t.Fatal(err)
		}
		merged, err := mergeStrategically(object, patch, &corev1.Pod{})
		if text, _ := json.Marshal(merged); err != nil || string(text) != c.want {
			t.Errorf("%s and %s: got %s, %v, want %s", c.object, c.patch, text, err, c.want)
		}
	}
	for _, patch := range []string{
		`{"$patch":"sideways"}`, `{"$retainKeys":1}`, `{"spec":{"containers":[{"image":"a"}]}}`, `{"spec":{"containers":["a"]}}`,
		`{"metadata":{"$deleteFromPrimitiveList/finalizers":1}}`, `{"metadata":{"$setElementOrder/finalizers":{}}}`,
	} {
		var p map[string]any
		if err := json.Unmarshal([]byte(patch), &p); err != nil {
			t.Fatal(err)
		}
		if merged, err := mergeStrategically(map[string]any{}, p, &corev1.Pod{}); err == nil {
			t.Errorf("%s made %v", patch, merged)
		}
	}
}
