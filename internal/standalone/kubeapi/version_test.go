package kubeapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// Objects of a kind with two versions are stored in one of them, and are read, watched and written in both, with the same fields.
func TestVersions(t *testing.T) {
	rule := &admission{}
	resources := testObjects()
	resources[0].Admit = func(w Write) (Admission, error) {
		for _, o := range []Object{w.Old, w.New} {
			if o != nil && o.GetAPIVersion() != "test.dev/v1" {
				t.Errorf("Admit gets %v", o)
			}
		}
		return rule.admit(w)
	}
	old := resources[0]
	old.Version, old.Stored = "v1beta1", old.Version
	a := serveTest(t, Config{Resources: append(resources, old)})
	ctx, oldWidgets := t.Context(), widgets.GroupResource().WithVersion("v1beta1")
	now, then := a.dynamic.Resource(widgets).Namespace("default"), a.dynamic.Resource(oldWidgets).Namespace("default")

	w, err := then.Watch(ctx, metav1.ListOptions{LabelSelector: "x=y"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	sent := widget("a", 1, "x")
	sent.SetLabels(map[string]string{"x": "y"})
	if _, err := then.Create(ctx, sent.DeepCopy(), metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "does not match the expected API version (test.dev/v1beta1)") {
		t.Errorf("created in another version than the path's: %v", err)
	}
	sent.SetAPIVersion("test.dev/v1beta1")
	created, err := then.Create(ctx, sent, metav1.CreateOptions{FieldManager: "me"})
	if err != nil || created.GetAPIVersion() != "test.dev/v1beta1" || created.GetManagedFields()[0].APIVersion != "test.dev/v1beta1" {
		t.Fatalf("created %v, %v", created, err)
	}
	stored, err := now.Get(ctx, "a", metav1.GetOptions{})
	if err != nil || stored.GetAPIVersion() != "test.dev/v1" || a.store.Get(widgets.GroupResource(), "default", "a").GetAPIVersion() != "test.dev/v1" {
		t.Errorf("stored %v, %v", stored, err)
	}
	stored.SetAPIVersion("test.dev/v1beta1")
	if !reflect.DeepEqual(stored, created) {
		t.Errorf("%v is stored as %v", created, stored)
	}

	if o, err := now.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"size":2}}`), metav1.PatchOptions{}); err != nil || o.GetAPIVersion() != "test.dev/v1" {
		t.Errorf("patched %v, %v", o, err)
	}
	if o, err := then.Patch(ctx, "a", types.JSONPatchType, []byte(`[{"op":"test","path":"/apiVersion","value":"test.dev/v1beta1"},{"op":"replace","path":"/spec/size","value":3}]`), metav1.PatchOptions{}); err != nil || o.GetAPIVersion() != "test.dev/v1beta1" {
		t.Errorf("patched %v, %v", o, err)
	}
	// An apply in one version continues one in the other.
	for i, version := range []string{"v1beta1", "v1", "v1beta1"} {
		o := widget("a", int64(4+i), "z")
		o.SetAPIVersion("test.dev/" + version)
		body, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		o, err = a.dynamic.Resource(widgets.GroupResource().WithVersion(version)).Namespace("default").
			Patch(ctx, "a", types.ApplyYAMLPatchType, body, metav1.PatchOptions{FieldManager: "me", Force: new(true)})
		if err != nil || o.GetAPIVersion() != "test.dev/"+version || o.Object["spec"].(map[string]any)["size"] != int64(4+i) {
			t.Errorf("applied in %s: %v, %v", version, o, err)
		}
		applies := 0
		for _, e := range o.GetManagedFields() {
			if e.Operation == metav1.ManagedFieldsOperationApply {
				applies++
			}
		}
		if applies != 1 {
			t.Errorf("%d applies own fields: %v", applies, o.GetManagedFields())
		}
	}
	list, err := then.List(ctx, metav1.ListOptions{})
	if err != nil || list.GetAPIVersion() != "test.dev/v1beta1" || len(list.Items) == 0 {
		t.Errorf("list %v, %v", list, err)
	}
	for _, o := range list.Items {
		if o.GetAPIVersion() != "test.dev/v1beta1" {
			t.Errorf("listed %v", o)
		}
	}
	table := func(r *http.Request) { r.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io") }
	if _, text := ask(t, a.client, http.MethodGet, a.url+"/apis/test.dev/v1beta1/namespaces/default/widgets?includeObject=Object", table); strings.Contains(text, `"apiVersion":"test.dev/v1","kind"`) ||
		!strings.Contains(text, `"apiVersion":"test.dev/v1beta1","kind"`) {
		t.Errorf("table %s", text)
	}
	if err := now.Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	for {
		e := <-w.ResultChan()
		o, ok := e.Object.(*unstructured.Unstructured)
		if !ok || o.GetAPIVersion() != "test.dev/v1beta1" {
			t.Fatalf("watched %v", e)
		}
		if e.Type == watch.Deleted {
			break
		}
	}
	if _, text := a.get(t, "/apis/test.dev"); !strings.Contains(text, `"versions":[{"groupVersion":"test.dev/v1","version":"v1"},{"groupVersion":"test.dev/v1beta1","version":"v1beta1"}],"preferredVersion":{"groupVersion":"test.dev/v1",`) {
		t.Errorf("group %s", text)
	}
}
