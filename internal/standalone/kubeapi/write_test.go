package kubeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/retry"
	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

// configMapFields are the fields of ConfigMaps, and one for a merge by key.
type configMapFields struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Data              map[string]string `json:"data"`
	Parts             []struct {
		Name string `json:"name"`
		Size int64  `json:"size"`
	} `json:"parts" patchStrategy:"merge" patchMergeKey:"name"`
}

// admission is a rule for Widgets: a size that isn't negative, a default color, unknown fields as asked, and what was committed.
type admission struct{ committed []string }

func (a *admission) admit(w Write) (Admission, error) {
	commit := func() {
		name, verb := "", "update"
		switch {
		case w.New == nil:
			name, verb = w.Old.GetName(), "delete"
		case w.Old == nil:
			name, verb = w.New.GetName(), "create"
		default:
			name = w.New.GetName()
		}
		a.committed = append(a.committed, verb+" "+name)
	}
	if w.New == nil {
		if w.Old.GetLabels()["keep"] != "" {
			return Admission{}, apierrors.NewForbidden(widgets.GroupResource(), w.Old.GetName(), fmt.Errorf("it is to be kept"))
		}
		return Admission{Commit: commit}, nil
	}
	o := w.New
	spec, _ := o.Object["spec"].(map[string]any)
	if size, _ := spec["size"].(int64); size < 0 {
		return Admission{}, apierrors.NewInvalid(o.GroupVersionKind().GroupKind(), o.GetName(), field.ErrorList{field.Invalid(field.NewPath("spec", "size"), size, "must not be negative")})
	}
	if size, _ := spec["size"].(int64); size == 666 {
		panic("a fault of Admit")
	}
	var unknowns []error
	if spec != nil {
		if spec["color"] == nil {
			spec["color"] = "red"
		}
		if _, unknown := spec["unknown"]; unknown {
			delete(spec, "unknown")
			unknowns = append(unknowns, errors.New("unknown field \"spec.unknown\"\x01\n"), errors.New(`unknown field "spec.unknown"`))
		}
	}
	return Admission{Object: o, Unknown: unknowns, Commit: commit}, nil
}

// serveWrites serves the resources of tests, with the rule for Widgets.
func serveWrites(t *testing.T) (*testAPI, *admission) {
	t.Helper()
	a := &admission{}
	resources := testObjects()
	resources[0].Admit = a.admit
	return serveTest(t, Config{Resources: resources}), a
}

// send sends a body and returns the status, the head and the answer.
func (a *testAPI) send(t *testing.T, method, path, contentType, body string) (int, http.Header, string) {
	t.Helper()
	res, answer := ask(t, a.client, method, a.url+path, func(r *http.Request) {
		r.Body, r.ContentLength = http.NoBody, 0
		if body != "" {
			with, err := http.NewRequestWithContext(t.Context(), method, a.url+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Body, r.ContentLength, r.GetBody = with.Body, with.ContentLength, with.GetBody
		}
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("User-Agent", "test/1 (linux)")
	})
	return res.StatusCode, res.Header, answer
}

const widgetsPath = "/apis/test.dev/v1/namespaces/default/widgets"

func TestWrites(t *testing.T) {
	a, rule := serveWrites(t)
	ctx, c := t.Context(), a.dynamic.Resource(widgets).Namespace("default")

	sent := widget("a", 1, "x")
	sent.Object["status"] = map[string]any{"ready": true}
	sent.SetUID("mine")
	sent.SetGeneration(7)
	created, err := c.Create(ctx, sent, metav1.CreateOptions{FieldManager: "me"})
	if err != nil {
		t.Fatal(err)
	}
	if created.GetUID() == "mine" || created.GetGeneration() != 1 || created.Object["status"] != nil || created.GetResourceVersion() != "103" ||
		created.Object["spec"].(map[string]any)["color"] != "red" || len(created.GetManagedFields()) != 1 || created.GetManagedFields()[0].Manager != "me" {
		t.Errorf("created %v", created)
	}
	if _, err := c.Create(ctx, widget("a", 1, "x"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("created again: %v", err)
	}
	if _, err := a.dynamic.Resource(widgets).Namespace("none").Create(ctx, setNamespace(widget("a", 1, "x"), "none"), metav1.CreateOptions{}); !apierrors.IsNotFound(err) || err.Error() != `namespaces "none" not found` {
		t.Errorf("created without a namespace: %v", err)
	}

	// The quickstart writes the status.
	ready := created.DeepCopy()
	ready.Object["status"] = map[string]any{"ready": true}
	a.store.Put(widgets.GroupResource(), ready)

	created.Object["spec"] = map[string]any{"size": int64(2)}
	if _, err := c.Update(ctx, created, metav1.UpdateOptions{}); !apierrors.IsConflict(err) || !strings.HasPrefix(err.Error(), `Operation cannot be fulfilled on widgets.test.dev "a": the object has been modified`) {
		t.Errorf("updated an old version: %v", err)
	}
	var updated Object
	if err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		o, err := c.Get(ctx, "a", metav1.GetOptions{})
		if err != nil {
			return err
		}
		o.Object["spec"] = map[string]any{"size": int64(2)}
		o.Object["status"] = map[string]any{"ready": "mine"}
		updated, err = c.Update(ctx, o, metav1.UpdateOptions{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if status := updated.Object["status"]; !reflect.DeepEqual(status, map[string]any{"ready": true}) || updated.GetGeneration() != 2 || updated.GetUID() != created.GetUID() {
		t.Errorf("updated %v", updated)
	}
	// The defaults of Admit are no change, and no change is no event.
	updated.Object["spec"] = map[string]any{"size": int64(2)}
	if same, err := c.Update(ctx, updated, metav1.UpdateOptions{}); err != nil || same.GetGeneration() != 2 || same.GetResourceVersion() != updated.GetResourceVersion() {
		t.Errorf("%v became %v, %v", updated, same, err)
	}

	dry := metav1.DryRunAll
	if o, err := c.Create(ctx, widget("dry", 1, "x"), metav1.CreateOptions{DryRun: []string{dry}}); err != nil || o.GetUID() == "" || o.GetResourceVersion() != "" {
		t.Errorf("dry create: %v, %v", o, err)
	}
	if o, err := c.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"size":5}}`), metav1.PatchOptions{DryRun: []string{dry}}); err != nil || o.GetGeneration() != 3 {
		t.Errorf("dry patch: %v, %v", o, err)
	}
	if err := c.Delete(ctx, "a", metav1.DeleteOptions{DryRun: []string{dry}}); err != nil {
		t.Errorf("dry delete: %v", err)
	}
	if o, err := c.Get(ctx, "a", metav1.GetOptions{}); err != nil || o.GetResourceVersion() != updated.GetResourceVersion() {
		t.Errorf("after dry runs: %v, %v", o, err)
	}

	generated := widget("", 1, "x")
	generated.SetGenerateName(strings.Repeat("g", 62) + "-")
	o, err := c.Create(ctx, generated, metav1.CreateOptions{})
	if err != nil || len(o.GetName()) != 63 {
		t.Errorf("generated %v, %v", o, err)
	}

	other, version := types.UID("other"), "1"
	for _, p := range []*metav1.Preconditions{{UID: &other}, {ResourceVersion: &version}} {
		if err := c.Delete(ctx, "a", metav1.DeleteOptions{Preconditions: p}); !apierrors.IsConflict(err) {
			t.Errorf("deleted another: %v", err)
		}
	}
	policy, grace, uid := metav1.DeletePropagationForeground, int64(0), created.GetUID()
	if err := c.Delete(ctx, "a", metav1.DeleteOptions{PropagationPolicy: &policy, GracePeriodSeconds: &grace, Preconditions: &metav1.Preconditions{UID: &uid}}); err != nil {
		t.Error(err)
	}
	if err := c.Delete(ctx, "a", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("deleted twice: %v", err)
	}
	if want := []string{"create a", "update a", "create " + o.GetName(), "delete a"}; !slices.Equal(rule.committed, want) {
		t.Errorf("committed %v, want %v", rule.committed, want)
	}
}

func setNamespace(o Object, namespace string) Object {
	o.SetNamespace(namespace)
	return o
}

func TestDeleteCollection(t *testing.T) {
	a, rule := serveWrites(t)
	for name, app := range map[string]string{"a": "x", "b": "y", "c": "x"} {
		a.store.Put(widgets.GroupResource(), widget(name, 1, app))
	}
	a.store.Put(widgets.GroupResource(), setNamespace(widget("d", 1, "x"), "other"))
	c := a.dynamic.Resource(widgets)
	if err := c.Namespace("default").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=x"}); err != nil {
		t.Fatal(err)
	}
	if list, err := c.List(t.Context(), metav1.ListOptions{}); err != nil || !slices.Equal(names(list.Items), []string{"b", "d"}) || !slices.Equal(rule.committed, []string{"delete a", "delete c"}) {
		t.Errorf("left %v, %v; committed %v", list, err, rule.committed)
	}
	if err := c.DeleteCollection(t.Context(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	kept := widget("e", 1, "x")
	kept.SetLabels(map[string]string{"keep": "1"})
	a.store.Put(widgets.GroupResource(), kept)
	if err := c.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}

func TestWritesThatAreRefused(t *testing.T) {
	a, rule := serveWrites(t)
	a.store.Put(widgets.GroupResource(), widget("a", 1, "x"))
	a.store.Put(configMaps.GroupResource(), parse(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default"}}`))
	version := a.store.Version()
	const (
		jsonType = "application/json"
		merge    = "application/merge-patch+json"
		apply    = "application/apply-patch+yaml"
		head     = `{"apiVersion":"test.dev/v1","kind":"Widget","metadata":`
	)
	deep := strings.Repeat(`{"a":`, maxDepth) + "{}" + strings.Repeat("}", maxDepth)
	for _, c := range []struct {
		method, path, contentType, body string
		code                            int
		message                         string
	}{
		{"POST", "", "application/vnd.kubernetes.protobuf", "x", 415, "accepted media types include: application/json, application/yaml"},
		{"POST", "", ";", "x", 400, "Content-Type"},
		{"POST", "", jsonType, "", 400, "cannot be handled as a Widget"},
		{"POST", "", jsonType, "[]", 400, "cannot be handled as a Widget"},
		{"POST", "", "application/yaml", "a: b: c", 400, "cannot be handled as a Widget"},
		{"POST", "", jsonType, `{"metadata":{"name":"b"}}`, 400, "Object 'Kind' is missing"},
		{"POST", "", jsonType, `{"apiVersion":"v1","kind":"Widget"}`, 400, "the API version in the data (v1) does not match the expected API version (test.dev/v1)"},
		{"POST", "", jsonType, `{"apiVersion":"test.dev/v1","kind":"Gadget"}`, 400, "(Gadget)"},
		{"POST", "", jsonType, head + `"a"}`, 400, "cannot be handled as a Widget: json: cannot unmarshal string into Go struct field .metadata"},
		{"POST", "", jsonType, head + `{"name":"b","labels":{"a":1}}}`, 400, "cannot be handled as a Widget"},
		{"POST", "", jsonType, head + `{}}`, 422, `metadata.name: Required value: name or generateName is required`},
		{"POST", "", jsonType, head + `{"name":"B_"}}`, 422, `metadata.name: Invalid value: "B_": a lowercase RFC 1123 subdomain`},
		{"POST", "", jsonType, head + `{"name":"b","labels":{"a b":"c"}}}`, 422, "metadata.labels: Invalid value"},
		{"POST", "", jsonType, head + `{"name":"b","namespace":"other"}}`, 400, "the namespace of the provided object does not match the namespace sent on the request"},
		{"POST", "", jsonType, head + `{"name":"b","resourceVersion":"1"}}`, 400, "resourceVersion should not be set"},
		{"POST", "?fieldValidation=Strict", jsonType, head + `{"name":"b","name":"c","wrong":1}}`, 400, `strict decoding error: duplicate field "metadata.name"`},
		{"POST", "?fieldValidation=Strict", jsonType, head + `{"name":"b","wrong":1}}`, 400, `strict decoding error: unknown field "metadata.wrong"`},
		{"POST", "?fieldValidation=Strict", jsonType, head + `{"name":"b"},"spec":{"unknown":1}}`, 400, `unknown field "spec.unknown"`},
		{"POST", "?fieldValidation=Maybe", jsonType, head + `{"name":"b"}}`, 422, "fieldValidation: Unsupported value"},
		{"POST", "?dryRun=Some", jsonType, head + `{"name":"b"}}`, 422, "dryRun: Unsupported value"},
		{"POST", "", jsonType, head + `{"name":"b"},"spec":{"size":-1}}`, 422, "spec.size: Invalid value: -1: must not be negative"},
		{"POST", "", jsonType, head + `{"name":"b"},"spec":{"size":666}}`, 500, "a fault of Admit"},
		{"POST", "", jsonType, strings.Repeat(" ", 3<<20+1), 413, "limit is 3145728"},
		{"POST", "", jsonType, head + `{"name":"b"},"spec":` + deep + `}`, 400, "nested too deep"},
		{"PATCH", "/a", merge, `{"spec":` + deep + `}`, 400, "nested too deep"},
		{"PATCH", "/a", "application/json-patch+json", `[{"op":"add","path":"/spec","value":` + deep + `}]`, 400, "nested too deep"},
		{"PATCH", "/a", "application/json-patch+json", `[{"op":"add","path":"/spec","value":` + deep[5*20:len(deep)-20] + `}` +
			strings.Repeat(`,{"op":"copy","from":"/spec","path":"/spec/a"}`, 30) + `]`, 400, "nested too deep"},
		{"PATCH", "/a?fieldManager=m", apply, head + `{"name":"a"},"spec":` + deep + `}`, 400, "nested too deep"},
		{"PUT", "/a", jsonType, head + `{"name":"a"}}`, 422, "metadata.resourceVersion: Invalid value: 0: must be specified for an update"},
		{"PUT", "/a", jsonType, head + `{"name":"b"}}`, 400, "the name of the object (b) does not match the name on the URL (a)"},
		{"PUT", "/a", jsonType, head + `{}}`, 400, "undeterminable"},
		{"PUT", "/a", jsonType, head + `{"name":"a","namespace":"other"}}`, 400, "the namespace of the object (other) does not match"},
		{"PUT", "/b", jsonType, head + `{"name":"b"}}`, 404, `widgets.test.dev "b" not found`},
		{"PUT", "/a", jsonType, head + `{"name":"a","uid":"other"}}`, 422, "must be specified"},
		{"PATCH", "/a", jsonType, "{}", 415, "merge-patch+json"},
		{"PATCH", "/a", "application/strategic-merge-patch+json", "{}", 415, "accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"},
		{"PATCH", "/b", merge, "{}", 404, "not found"},
		{"PATCH", "/a", merge, "[]", 400, "error decoding patch"},
		{"PATCH", "/a", merge, `{"metadata":{"name":"b"}}`, 422, `metadata.name: Invalid value: "b": field is immutable`},
		{"PATCH", "/a", merge, `{"metadata":{"namespace":"other"}}`, 422, `metadata.namespace: Invalid value: "other": field is immutable`},
		{"PATCH", "/a", merge, `{"metadata":{"resourceVersion":"1"}}`, 409, "the object has been modified"},
		{"PATCH", "/a", merge, `{"metadata":{"uid":"other"}}`, 409, "UID in precondition: other"},
		{"PATCH", "/a", merge, `{"metadata":null,"kind":"Gadget"}`, 400, "Gadget"},
		{"PATCH", "/a", merge, `{"spec":{"size":-3}}`, 422, "spec.size"},
		{"PATCH", "/a?force=true", merge, `{}`, 422, "force: Forbidden: may not be specified for non-apply patch"},
		{"PATCH", "/a", "application/json-patch+json", `{}`, 400, "error decoding patch"},
		{"PATCH", "/a", "application/json-patch+json", `[{"op":"test","path":"/spec/size","value":2}]`, 422, "testing value /spec/size failed"},
		{"PATCH", "/a", "application/json-patch+json", `[{"op":"remove","path":"/nothing"}]`, 422, "nothing"},
		{"PATCH", "/a", "application/json-patch+json", `[{"op":"replace","path":""}]`, 422, "the patch can't be applied"},
		{"PATCH", "/a", apply, head + `{"name":"a"}}`, 422, "fieldManager: Required value: is required for apply patch"},
		{"PATCH", "/a?fieldManager=m", apply, head + `{"name":"b"}}`, 400, "does not match the name on the URL"},
		{"PATCH", "/a?fieldManager=m", apply, head + `{"name":"a","managedFields":[{}]}}`, 400, "metadata.managedFields must be nil"},
		{"DELETE", "/b", jsonType, "", 404, "not found"},
		{"DELETE", "/a", jsonType, "[", 400, "DeleteOptions"},
		{"DELETE", "/a?propagationPolicy=Sideways", jsonType, "", 422, "propagationPolicy"},
		{"DELETE", "/a", "application/vnd.kubernetes.protobuf", "x", 400, "begins with k8s"},
		{"DELETE", "/a", "text/plain", "x", 415, "application/json"},
		{"DELETE", "?labelSelector=a%20b", jsonType, "", 400, "unable to parse requirement"},
	} {
		code, _, body := a.send(t, c.method, widgetsPath+c.path, c.contentType, c.body)
		if s := status(t, body); code != c.code || int(s.Code) != code || !strings.Contains(s.Message, c.message) {
			t.Errorf("%s %s %s: got %d %s, want %d %s", c.method, c.path, c.body[:min(len(c.body), 99)], code, body, c.code, c.message)
		}
	}
	if code, _, body := a.send(t, "PATCH", "/api/v1/namespaces/default/pods/p", merge, "{}"); code != 405 ||
		status(t, body).Message != `patch is not supported on resources of kind "pods": it is made from its Service: change that` {
		t.Errorf("read-only: %d %s", code, body)
	}
	if len(rule.committed) > 0 || a.store.Version() != version {
		t.Errorf("committed %v, version %d", rule.committed, a.store.Version())
	}
}

func TestBodiesAndWarnings(t *testing.T) {
	a, _ := serveWrites(t)
	code, h, body := a.send(t, "POST", widgetsPath, "application/yaml", "apiVersion: test.dev/v1\nkind: Widget\nmetadata:\n  name: yam\n  wrong: 1\nspec: {size: 3, unknown: 1}\n")
	if want := []string{`299 - "unknown field \"metadata.wrong\""`, `299 - "unknown field \"spec.unknown\"  "`, `299 - "unknown field \"spec.unknown\""`}; code != 201 || !slices.Equal(h.Values("Warning"), want) {
		t.Errorf("%d %q %s", code, h.Values("Warning"), body)
	}
	o := parse(t, body)
	if m := o.GetManagedFields(); len(m) != 1 || m[0].Manager != "test" || m[0].Operation != metav1.ManagedFieldsOperationUpdate || o.GetNamespace() != "default" {
		t.Errorf("created %v", o)
	}
	code, h, body = a.send(t, "PUT", widgetsPath+"/yam?fieldValidation=Ignore&dryRun=All", "", fmt.Sprintf(
		`{"apiVersion":"test.dev/v1","kind":"Widget","metadata":{"name":"yam","resourceVersion":"%s","wrong":1},"spec":{"unknown":1}}`, o.GetResourceVersion()))
	if code != 200 || len(h.Values("Warning")) > 0 {
		t.Errorf("%d %q %s", code, h.Values("Warning"), body)
	}
	code, _, body = a.send(t, "DELETE", widgetsPath+"/yam", "application/yaml", "kind: DeleteOptions\napiVersion: v1\npropagationPolicy: Background\n")
	if s := status(t, body); code != 200 || s.Status != metav1.StatusSuccess || s.Details.Name != "yam" || s.Details.UID != o.GetUID() || s.Details.Kind != "widgets" {
		t.Errorf("%d %s", code, body)
	}
	many := strings.Builder{}
	for i := range 1000 {
		fmt.Fprintf(&many, `,"wrong%d":1`, i)
	}
	code, h, body = a.send(t, "POST", widgetsPath, "", `{"apiVersion":"test.dev/v1","kind":"Widget","metadata":{"name":"z"`+many.String()+`}}`)
	if got := len(strings.Join(h.Values("Warning"), "")); code != 201 || got < 3000 || got > 8000 {
		t.Errorf("%d: %d bytes of warnings, %s", code, got, body)
	}
}

func TestPatches(t *testing.T) {
	a, _ := serveWrites(t)
	ctx := t.Context()
	a.store.Put(widgets.GroupResource(), widget("a", 1, "x"))
	w := a.dynamic.Resource(widgets).Namespace("default")
	o, err := w.Patch(ctx, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"app":null},"annotations":{"a":"b"}},"spec":{"size":4}}`), metav1.PatchOptions{})
	if spec := o.Object["spec"]; err != nil || len(o.GetLabels()) > 0 || o.GetAnnotations()["a"] != "b" || !reflect.DeepEqual(spec, map[string]any{"size": int64(4), "color": "red"}) {
		t.Errorf("merge: %v, %v", o, err)
	}
	o, err = w.Patch(ctx, "a", types.JSONPatchType, []byte(`[{"op":"test","path":"/spec/size","value":4},{"op":"replace","path":"/spec/size","value":5}]`), metav1.PatchOptions{})
	if spec := o.Object["spec"]; err != nil || !reflect.DeepEqual(spec, map[string]any{"size": int64(5), "color": "red"}) {
		t.Errorf("JSON: %v, %v", o, err)
	}

	m := a.dynamic.Resource(configMaps).Namespace("default")
	if _, err := m.Create(ctx, parse(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1"},"parts":[{"name":"p","size":1},{"name":"q","size":2}]}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	o, err = m.Patch(ctx, "a", types.StrategicMergePatchType, []byte(`{"data":{"y":"2"},"parts":[{"name":"q","size":3},{"name":"r"},{"$patch":"delete","name":"p"}]}`), metav1.PatchOptions{})
	want := []any{map[string]any{"name": "q", "size": int64(3)}, map[string]any{"name": "r"}}
	if err != nil || !reflect.DeepEqual(o.Object["data"], map[string]any{"x": "1", "y": "2"}) || !sameElements(o.Object["parts"], want) {
		t.Errorf("strategic merge: %v, %v", o, err)
	}
	// ConfigMaps, unlike custom resources, can be replaced without a version.
	if o, err = m.Update(ctx, parse(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"z":"1"}}`), metav1.UpdateOptions{}); err != nil || len(o.Object["data"].(map[string]any)) != 1 {
		t.Errorf("replaced: %v, %v", o, err)
	}
	// Six doublings of 100 kB are more than a body may have.
	double := `{"op":"copy","from":"/data","path":"/data/x"},`
	if _, err := m.Patch(ctx, "a", types.JSONPatchType, []byte(`[{"op":"add","path":"/data/z","value":"`+strings.Repeat("z", 100<<10)+`"},`+strings.Repeat(double, 20)+`{"op":"remove","path":"/data/x"}]`), metav1.PatchOptions{}); err == nil || !strings.Contains(err.Error(), "exceed") {
		t.Errorf("copies: %v", err)
	}
}

// sameElements compares lists whatever their order.
func sameElements(got any, want []any) bool {
	list, _ := got.([]any)
	return len(list) == len(want) && !slices.ContainsFunc(want, func(w any) bool {
		return !slices.ContainsFunc(list, func(g any) bool { return reflect.DeepEqual(g, w) })
	})
}

func TestServerSideApply(t *testing.T) {
	a, rule := serveWrites(t)
	ctx, c := t.Context(), a.dynamic.Resource(widgets).Namespace("default")
	apply := func(manager string, force bool, spec string) (Object, error) {
		return c.Apply(ctx, "a", parse(t, `{"apiVersion":"test.dev/v1","kind":"Widget","metadata":{"name":"a"},"spec":`+spec+`,"status":{"mine":true}}`),
			metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	o, err := apply("one", false, `{"size":1,"shape":"round","parts":[1,2]}`)
	if err != nil || o.GetUID() == "" || o.GetGeneration() != 1 || o.Object["status"] != nil || o.GetNamespace() != "default" {
		t.Fatalf("applied %v, %v", o, err)
	}
	same, err := apply("one", false, `{"size":1,"shape":"round","parts":[1,2]}`)
	if err != nil || same.GetResourceVersion() != o.GetResourceVersion() {
		t.Errorf("%v became %v, %v", o, same, err)
	}
	_, err = apply("two", false, `{"size":2,"weight":3}`)
	var status apierrors.APIStatus
	if !apierrors.IsConflict(err) {
		t.Fatalf("no conflict: %v", err)
	}
	status = err.(apierrors.APIStatus)
	if causes := status.Status().Details.Causes; len(causes) != 1 || causes[0].Type != metav1.CauseTypeFieldManagerConflict || causes[0].Field != ".spec.size" || !strings.Contains(causes[0].Message, `"one"`) {
		t.Errorf("causes %v", causes)
	}
	if o, err = apply("two", true, `{"size":2,"weight":3}`); err != nil || !reflect.DeepEqual(o.Object["spec"], map[string]any{
		"size": int64(2), "weight": int64(3), "shape": "round", "parts": []any{int64(1), int64(2)}, "color": "red",
	}) || o.GetGeneration() != 2 {
		t.Errorf("forced: %v, %v", o, err)
	}
	// What its manager no longer applies is removed; what another has taken over stays.
	if o, err = apply("one", false, `{"parts":[3]}`); err != nil || !reflect.DeepEqual(o.Object["spec"], map[string]any{
		"size": int64(2), "weight": int64(3), "parts": []any{int64(3)}, "color": "red",
	}) {
		t.Errorf("less: %v, %v", o, err)
	}
	// Other writes are tracked, too.
	if _, err := c.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"weight":9}}`), metav1.PatchOptions{FieldManager: "three"}); err != nil {
		t.Fatal(err)
	}
	if _, err = apply("two", false, `{"size":2,"weight":3}`); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "three" using test.dev/v1: .spec.weight`) {
		t.Errorf("got %v", err)
	}
	if want := []string{"create a", "update a", "update a", "update a"}; !slices.Equal(rule.committed, want) {
		t.Errorf("committed %v, want %v", rule.committed, want)
	}
	if _, err := a.dynamic.Resource(widgets).Namespace("none").Apply(ctx, "a", setNamespace(widget("a", 1, "x"), "none"), metav1.ApplyOptions{FieldManager: "one"}); !apierrors.IsNotFound(err) {
		t.Errorf("applied without a namespace: %v", err)
	}
}

// drawValue draws a JSON value.
func drawValue(t *rapid.T, depth int) any {
	kinds := []string{"null", "bool", "int", "float", "string"}
	if depth > 0 {
		kinds = append(kinds, "map", "map", "list")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "bool":
		return rapid.Bool().Draw(t, "bool")
	case "int":
		return rapid.Int64Range(-2, 3).Draw(t, "int")
	case "float":
		return rapid.SampledFrom([]float64{0.5, 1e300}).Draw(t, "float")
	case "string":
		return rapid.SampledFrom([]string{"", "a", "b", "replace", "delete", "1", "default", "test.dev/v1", "Widget", "2026-01-01T00:00:00Z"}).Draw(t, "string")
	case "map":
		m := map[string]any{}
		for range rapid.IntRange(0, 4).Draw(t, "size") {
			key := rapid.SampledFrom([]string{
				"apiVersion", "kind", "metadata", "name", "namespace", "labels", "annotations", "managedFields", "finalizers", "uid", "ownerReferences",
				"generation", "creationTimestamp", "spec", "status", "size", "data", "parts", "a", "$patch", "$retainKeys", "$setElementOrder/parts", "$deleteFromPrimitiveList/finalizers",
			}).Draw(t, "key")
			m[key] = drawValue(t, depth-1)
		}
		return m
	case "list":
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, drawValue(t, depth-1))
		}
		return list
	}
	return nil
}

// Whatever a client sends: there is an answer, an error changes nothing, and what is stored has its name and is of its type.
func TestAnyPatchIsAppliedOrNot(t *testing.T) {
	resources := testObjects()
	rule := &admission{}
	resources[0].Admit = rule.admit
	s := &Server{config: Config{Store: store.New(0), Do: func(f func()) bool { f(); return true }}}
	for _, name := range []string{"default", "other"} {
		s.config.Store.Put(namespaces.GroupResource(), parse(t, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+name+`"}}`))
	}
	object := map[string]string{
		"widgets":    `{"apiVersion":"test.dev/v1","kind":"Widget","metadata":{"name":"a","namespace":"default","labels":{"a":"b"},"finalizers":["test.dev/a"]},"spec":{"size":1,"parts":[{"name":"a"},{"name":"b"}]},"status":{"a":1}}`,
		"configmaps": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default","labels":{"a":"b"}},"data":{"a":"b"},"parts":[{"name":"a","size":1},{"name":"b"}]}`,
	}
	rapid.Check(t, func(t *rapid.T) {
		r := &resources[rapid.IntRange(0, 1).Draw(t, "resource")]
		group := r.GroupResource()
		before := parse(t, object[r.Resource])
		store.Prepare(nil, before)
		before = s.config.Store.Put(group, before)
		rule.committed = nil
		copied := before.DeepCopy()

		var body any = drawValue(t, 4)
		method, contentType := "PATCH", rapid.SampledFrom([]string{
			"application/json", string(types.MergePatchType), string(types.JSONPatchType), string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType),
		}).Draw(t, "type")
		verb, query := "patch", ""
		switch types.PatchType(contentType) {
		case "application/json":
			method, verb = "PUT", "update"
			fallthrough
		case types.ApplyYAMLPatchType:
			if m, ok := body.(map[string]any); ok && rapid.IntRange(0, 9).Draw(t, "likely") > 0 {
				metadata := map[string]any{"name": "a"}
				if verb == "update" {
					metadata["resourceVersion"] = before.GetResourceVersion()
				}
				for _, name := range []string{"labels", "annotations", "finalizers", "managedFields", "ownerReferences", "uid"} {
					if rapid.IntRange(0, 9).Draw(t, name) == 0 {
						metadata[name] = drawValue(t, 3)
					}
				}
				m["apiVersion"], m["kind"], m["metadata"] = before.GetAPIVersion(), before.GetKind(), metadata
			}
			if verb == "patch" {
				query = "fieldManager=m&force=" + rapid.SampledFrom([]string{"true", "false"}).Draw(t, "force")
			}
		case types.JSONPatchType:
			ops := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "ops") {
				path := rapid.SampledFrom([]string{"", "/", "/spec", "/spec/size", "/metadata", "/metadata/name", "/metadata/labels/a", "/parts/0", "/parts/-", "/spec/parts/-1", "/status", "/data/a", "/kind"})
				op := map[string]any{"op": rapid.SampledFrom([]string{"add", "remove", "replace", "move", "copy", "test", "", "x"}).Draw(t, "op"), "path": path.Draw(t, "path"), "from": path.Draw(t, "from")}
				if rapid.Bool().Draw(t, "value") {
					op["value"] = drawValue(t, 2)
				}
				ops = append(ops, op)
			}
			body = ops
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := http.NewRequest(method, "http://x/?"+query, strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		sent.Header.Set("Content-Type", contentType)
		c, err := newChange(sent, request{verb: verb, resource: r, namespace: "default", name: "a"})
		version := s.config.Store.Version()
		if err == nil {
			_, _, err = s.commit(c)
		}
		if err != nil {
			if status, ok := err.(apierrors.APIStatus); !ok || status.Status().Code < 400 || status.Status().Code >= 500 {
				t.Fatalf("%s %s: %v", contentType, text, err)
			}
			if s.config.Store.Version() != version || len(rule.committed) > 0 {
				t.Fatalf("%s %s: a change in spite of %v", contentType, text, err)
			}
		}
		if !reflect.DeepEqual(before, copied) {
			t.Fatalf("%s %s: %v was changed to %v", contentType, text, copied, before)
		}
		after := s.config.Store.Get(group, "default", "a")
		if after.GetKind() != r.Kind || after.GetAPIVersion() != r.GroupVersion().String() || after.GetUID() != before.GetUID() ||
			!reflect.DeepEqual(after.Object["status"], before.Object["status"]) || after.GetCreationTimestamp() != before.GetCreationTimestamp() {
			t.Fatalf("%s %s: stored %v", contentType, text, after)
		}
		if list, _ := s.config.Store.List(group, ""); len(list) != 1 {
			t.Fatalf("%s %s: %v", contentType, text, list)
		}
		s.config.Store.Delete(group, "default", "a")
	})
}

func TestTimesAloneAreNoChange(t *testing.T) {
	const object = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"%s","managedFields":[{"manager":"%s","operation":"Apply",
		"apiVersion":"v1","time":"%s","fieldsType":"FieldsV1","fieldsV1":{"f:data":{}}}]},"data":{"a":"%s"}}`
	for _, c := range []struct {
		version, manager, time, data string
		kept                         bool
	}{
		{"", "m", "2026-01-01T00:00:01Z", "b", true},
		{"7", "m", "2026-01-01T00:00:01Z", "b", true},
		{"", "n", "2026-01-01T00:00:01Z", "b", false},
		{"", "m", "2026-01-01T00:00:01Z", "c", false},
	} {
		before := parse(t, fmt.Sprintf(object, "7", "m", "2026-01-01T00:00:00Z", "b"))
		next := parse(t, fmt.Sprintf(object, c.version, c.manager, c.time, c.data))
		keepTimes(before, next)
		if kept := next.GetManagedFields()[0].Time.Equal(before.GetManagedFields()[0].Time); kept != c.kept {
			t.Errorf("%v: %v", c, next)
		}
		if before.GetManagedFields()[0].Time.Second() != 0 {
			t.Error("the present object has changed")
		}
	}
}
