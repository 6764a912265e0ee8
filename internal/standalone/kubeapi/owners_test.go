package kubeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

// kinds is for a [managedfields.FieldManager]: each kind has one version and no defaults.
type kinds struct{}

func (kinds) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(kind)
	return o, nil
}

func (kinds) Default(runtime.Object) {}

func (kinds) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (kinds) Convert(_, _, _ any) error { return errors.New("each kind has one version") }

func (kinds) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

// withoutTimes returns an object with the managedFields of a map by managers, without times.
func withoutTimes(o Object) (map[string]any, map[string]string) {
	o = o.DeepCopy()
	managers := map[string]string{}
	for _, e := range o.GetManagedFields() {
		managers[fmt.Sprint(e.Manager, e.Operation, e.APIVersion)] = e.FieldsV1.GetRawString()
	}
	o.SetManagedFields(nil)
	return o.Object, managers
}

// drawFields draws the fields of an object.
func drawFields(t *rapid.T, depth int) map[string]any {
	m := map[string]any{}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID).Draw(t, "fields") {
		switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
		case kind == 0:
			m[name] = []any{rapid.Int64Range(0, 2).Draw(t, "element"), map[string]any{"x": "y"}}
		case kind < 3 && depth > 0:
			m[name] = drawFields(t, depth-1)
		default:
			m[name] = rapid.Int64Range(0, 2).Draw(t, "value")
		}
	}
	return m
}

// Objects and owners after any applies and updates of several managers are those of Kubernetes' own manager of fields.
func TestOwnersAreKubernetes(t *testing.T) {
	resources := testObjects()
	r := &resources[0]
	gvk := r.GroupVersion().WithKind(r.Kind)
	library, err := managedfields.NewDefaultCRDFieldManager(managedfields.NewDeducedTypeConverter(), kinds{}, kinds{}, kinds{}, gvk, gvk.GroupVersion(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		var ours, theirs Object
		empty, _ := kinds{}.New(gvk)
		for range rapid.IntRange(1, 6).Draw(t, "writes") {
			c := &change{request: request{resource: r, name: "w", namespace: "default"}}
			c.manager = rapid.SampledFrom([]string{"one", "two", kubectl}).Draw(t, "manager")
			sent := widget("w", 0, "x")
			sent.Object["spec"] = drawFields(t, 2)
			apply := rapid.Bool().Draw(t, "apply")
			if !apply && rapid.Bool().Draw(t, "by the client") {
				text, err := json.Marshal(sent.Object)
				if err != nil {
					t.Fatal(err)
				}
				sent.SetAnnotations(map[string]string{lastApplied: string(text)})
			}
			var got, want Object
			var gotErr, wantErr error
			live := empty
			if theirs != nil {
				live = theirs.DeepCopy()
			}
			if apply {
				c.force = rapid.Bool().Draw(t, "force")
				got, gotErr = c.merged(ours, sent.DeepCopy())
				var o runtime.Object
				if o, wantErr = library.Apply(live, sent.DeepCopy(), c.manager, c.force); wantErr == nil {
					want = o.(Object)
				}
			} else {
				// Those who write send the managedFields that they have read.
				mine, other := sent.DeepCopy(), sent.DeepCopy()
				if ours != nil {
					mine.SetManagedFields(ours.GetManagedFields())
					other.SetManagedFields(theirs.GetManagedFields())
					other.SetUID(theirs.GetUID())
					mine.SetUID(ours.GetUID())
				}
				got, gotErr = c.owned(ours, mine)
				var o runtime.Object
				if o, wantErr = library.Update(live, other, c.manager); wantErr == nil {
					want = o.(Object)
				}
			}
			if wantErr != nil || gotErr != nil {
				if !apierrors.IsConflict(wantErr) || !apierrors.IsConflict(gotErr) {
					t.Fatalf("got %v, want %v", gotErr, wantErr)
				}
				g, w := gotErr.(apierrors.APIStatus).Status().Details.Causes, wantErr.(apierrors.APIStatus).Status().Details.Causes
				causes := func(all []metav1.StatusCause) map[string]bool {
					set := map[string]bool{}
					for _, cause := range all {
						set[cause.Field] = true
					}
					return set
				}
				if !reflect.DeepEqual(causes(g), causes(w)) {
					t.Fatalf("conflicts %v, want %v", g, w)
				}
				continue
			}
			gotObject, gotManagers := withoutTimes(got)
			wantObject, wantManagers := withoutTimes(want)
			if !reflect.DeepEqual(gotObject, wantObject) || !reflect.DeepEqual(gotManagers, wantManagers) {
				t.Fatalf("sent %v by %s:\n got %v %v\nwant %v %v", sent, c.manager, gotObject, gotManagers, wantObject, wantManagers)
			}
			ours, theirs = got, want
			if ours.GetUID() == "" {
				store.Prepare(nil, ours)
				theirs.SetUID(ours.GetUID())
				theirs.SetCreationTimestamp(ours.GetCreationTimestamp())
				theirs.SetGeneration(ours.GetGeneration())
			}
		}
	})
}

func TestApplyGoesOnFromClientSideApply(t *testing.T) {
	a, _ := serveWrites(t)
	ctx, c := t.Context(), a.dynamic.Resource(widgets).Namespace("default")
	sent := widget("a", 1, "x")
	sent.SetAnnotations(map[string]string{lastApplied: `{"apiVersion":"test.dev/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":1}}`})
	if _, err := c.Create(ctx, sent, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"}); err != nil {
		t.Fatal(err)
	}
	apply := func(manager, spec string) (Object, error) {
		return c.Apply(ctx, "a", parse(t, `{"apiVersion":"test.dev/v1","kind":"Widget","metadata":{"name":"a"},"spec":`+spec+`}`), metav1.ApplyOptions{FieldManager: manager})
	}
	if _, err := apply("other", `{"size":2}`); !apierrors.IsConflict(err) {
		t.Errorf("another manager: %v", err)
	}
	o, err := apply(kubectl, `{"size":2}`)
	if err != nil || o.GetAnnotations()[lastApplied] != `{"apiVersion":"test.dev/v1","kind":"Widget","metadata":{"name":"a","namespace":"default"},"spec":{"size":2}}`+"\n" {
		t.Errorf("got %v, %v", o, err)
	}
	if _, err := c.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"size":3}}`), metav1.PatchOptions{FieldManager: "other"}); err != nil {
		t.Fatal(err)
	}
	if _, err := apply(kubectl, `{"size":2}`); !apierrors.IsConflict(err) {
		t.Errorf("what another has changed since: %v", err)
	}
}
