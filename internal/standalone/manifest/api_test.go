package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
)

// sameByTheAPI checks that the object of a Service from a file reads like the file: as it is, with its defaults, and as the
// Revision that it makes.
func sameByTheAPI(t *testing.T, s *Service) {
	t.Helper()
	object := runtime.DeepCopyJSON(s.Object) // panics on types that JSON doesn't have
	again, unknown, err := ReadService(object)
	if err != nil || len(unknown) > 0 {
		t.Fatalf("%s: %v, %v", s.Name, err, unknown)
	}
	if again.Name != s.Name || again.Namespace != s.Namespace || again.Template.Name != s.Template.Name || !again.Template.Equal(&s.Template) {
		t.Errorf("by the API\n%s\nin the file\n%s", again.Template.digest(), s.Template.digest())
	}
	if fields(again.Ignored) != fields(s.Ignored) || routes(again.Traffic) != routes(s.Traffic) {
		t.Errorf("%s: by the API %v %v, in the file %v %v", s.Name, again.Ignored, again.Traffic, s.Ignored, s.Traffic)
	}
	if !reflect.DeepEqual(object, s.Object) || !reflect.DeepEqual(again.Object, s.Object) {
		t.Errorf("%s: reading has changed the object", s.Name)
	}

	Default(object)
	full, unknown, err := ReadService(object)
	if err != nil || len(unknown) > 0 || !full.Template.Equal(&s.Template) || routes(full.Traffic) != routes(s.Traffic) {
		t.Errorf("%s: with defaults %v, %v\n%s\nwithout\n%s", s.Name, err, unknown, full.Template.digest(), s.Template.digest())
	}
	twice := runtime.DeepCopyJSON(object)
	if Default(twice); !reflect.DeepEqual(twice, object) {
		t.Errorf("defaults twice: %v, once: %v", twice, object)
	}

	template := child(child(object, "spec"), "template")
	metadata := runtime.DeepCopyJSON(child(template, "metadata"))
	child(metadata, "labels")["serving.knative.dev/configurationGeneration"] = "1"
	child(metadata, "annotations")["serving.knative.dev/creator"] = "me"
	r, err := ReadRevision(map[string]any{"kind": "Revision", "metadata": metadata, "spec": template["spec"], "status": map[string]any{}})
	if err != nil || !r.Equal(&s.Template) {
		t.Errorf("%s: of the revision %v\n%s\nin the file\n%s", s.Name, err, r.digest(), s.Template.digest())
	}
}

// sameEventingByTheAPI is sameByTheAPI for an object of Eventing.
func sameEventingByTheAPI(t *testing.T, e *Eventing) {
	t.Helper()
	object := runtime.DeepCopyJSON(e.Object)
	again, unknown, err := ReadEventing(object)
	if err != nil || len(unknown) > 0 || !reflect.DeepEqual(again.Object, e.Object) || fields(again.Ignored) != fields(e.Ignored) {
		t.Errorf("%s %s: %v, %v\n%v\nin the file\n%v", e.Kind, e.Name, err, unknown, again.Object, e.Object)
	}
	Default(object)
	full, unknown, err := ReadEventing(object)
	if err != nil || len(unknown) > 0 || again.Unchangeable(full) != nil {
		t.Errorf("%s %s with defaults: %v, %v", e.Kind, e.Name, err, unknown)
	}
	twice := runtime.DeepCopyJSON(object)
	if Default(twice); !reflect.DeepEqual(twice, object) {
		t.Errorf("defaults twice: %v, once: %v", twice, object)
	}
}

// fields and routes describe notes and traffic without positions. A file's notes are in its own order.
func fields(notes []Note) string {
	var all []string
	for _, n := range notes {
		all = append(all, fmt.Sprintln(n.Field, n.Why, n.Limit))
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

func routes(traffic []Traffic) string {
	var all []string
	for _, t := range traffic {
		t.Pos = Pos{}
		all = append(all, fmt.Sprintf("%+v", t))
	}
	return strings.Join(all, " ")
}

func TestADocumentIsTheSameByTheAPI(t *testing.T) {
	files, _, err := Input{Paths: []string{"testdata", "../../../examples"}}.Read()
	if err != nil {
		t.Fatal(err)
	}
	var services []Service
	objects, eventing := Objects{}, map[EventingKey]*Eventing{}
	for _, f := range files {
		set := Set{Objects: objects, Eventing: eventing}
		if err := set.add(f); err != nil {
			t.Fatal(err)
		}
		services = append(services, set.Services...)
	}
	if len(services) < 15 || len(objects) < 3 || len(eventing) < 7 {
		t.Fatalf("%d services, %d objects, %d of eventing", len(services), len(objects), len(eventing))
	}
	few, err := Parse("f", []byte(head+`spec:
  template:
    spec:
      containers:
      - {image: i, resources: {limits: {cpu: 0.50}, requests: {}}, readinessProbe: {}, volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /b}, {name: c, mountPath: /c}]}
      volumes: [{name: a, configMap: {name: c}}, {name: b, hostPath: {path: /b}}, {name: c, emptyDir: {}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	services = append(services, few...)
	for i := range services {
		for j, note := range services[i].Ignored { // items of a List have a longer path
			services[i].Ignored[j].Field = strings.TrimPrefix(note.Field, "items[0].")
		}
		sameByTheAPI(t, &services[i])
	}
	for _, e := range eventing {
		sameEventingByTheAPI(t, e)
	}
	for _, o := range objects {
		object := runtime.DeepCopyJSON(o.Object)
		for range 2 { // as it is, and with defaults
			again, unknown, err := ReadObject(object)
			if err != nil || len(unknown) > 0 || again.Key() != o.Key() || !reflect.DeepEqual(again.Data, o.Data) {
				t.Errorf("%+v, %v, %v, in the file %+v", again, unknown, err, o)
			}
			Default(object)
		}
	}
}

// kn reads an object and writes it back in its own form: that is no other revision.
func TestTheFormOfAValueMakesNoRevision(t *testing.T) {
	const object = `{"metadata":{"name":"hello"},"spec":{"template":{"metadata":{%s},"spec":{"containers":[{"image":"i","resources":%s}]}}}}`
	a, _, err1 := ReadService(decode(t, fmt.Sprintf(object, `"annotations":{"b":"1","a":"2"}`, `{"limits":{"cpu":"1000m","memory":"1048576Ki"}}`)))
	b, _, err2 := ReadService(decode(t, fmt.Sprintf(object, `"creationTimestamp":null,"annotations":{"a":"2","b":"1"},"labels":{}`, `{"limits":{"cpu":1,"memory":"1Gi"},"requests":{}}`)))
	if err1 != nil || err2 != nil || !a.Template.Equal(&b.Template) {
		t.Errorf("%v, %v\n%s\n%s", err1, err2, a.Template.digest(), b.Template.digest())
	}
}

// What a cluster's webhook would make of them.
func TestDefaults(t *testing.T) {
	const template = `{"kind":"Service","spec":{"template":{"metadata":{},"spec":{%s}}%s}}`
	const rest = `,"enableServiceLinks":false,"containerConcurrency":0,"timeoutSeconds":300`
	const traffic = `,"traffic":[{"latestRevision":true,"percent":100}]`
	const probe = `"readinessProbe":{"successThreshold":1,"tcpSocket":{"port":0}},"resources":{}`
	for in, want := range map[string]string{
		fmt.Sprintf(template, `"containers":[{"image":"i"}]`, ""): fmt.Sprintf(template, `"containers":[{"image":"i","name":"user-container",`+probe+`}]`+rest, traffic),
		fmt.Sprintf(template, `"containers":[{"name":"a","ports":[{"containerPort":1}]},{},{"name":"user-container-0"}],"initContainers":[{}]`, `,"traffic":[{"percent":100},{"revisionName":"r","tag":"t"}]`): fmt.Sprintf(template,
			`"containers":[{"name":"a","ports":[{"containerPort":1}],`+probe+`},{"name":"user-container-1","resources":{}},{"name":"user-container-0","resources":{}}],"initContainers":[{"name":"init-container","resources":{}}]`+rest,
			`,"traffic":[{"percent":100,"latestRevision":true},{"revisionName":"r","tag":"t","latestRevision":false,"percent":0}]`),
		fmt.Sprintf(template, `"timeoutSeconds":600,"containers":[{"name":"a","readinessProbe":{"grpc":{"port":1},"periodSeconds":5},"volumeMounts":[{"name":"v"},{"name":"w"}]}],"volumes":[{"name":"v","emptyDir":{}},{"name":"w","secret":{}}]`, ""): fmt.Sprintf(template,
			`"timeoutSeconds":600,"responseStartTimeoutSeconds":300,"enableServiceLinks":false,"containerConcurrency":0,`+
				`"containers":[{"name":"a","resources":{},"readinessProbe":{"grpc":{"port":1,"service":""},"periodSeconds":5,"successThreshold":1,"failureThreshold":3,"timeoutSeconds":1},"volumeMounts":[{"name":"v"},{"name":"w","readOnly":true}]}],"volumes":[{"name":"v","emptyDir":{}},{"name":"w","secret":{}}]`, traffic),
		`{"kind":"Secret","data":{"a":"eA==","b":"eA=="},"stringData":{"b":"y"}}`: `{"kind":"Secret","type":"Opaque","data":{"a":"eA==","b":"eQ=="}}`,
		`{"kind":"Service","spec":{"template":{"spec":{"containers":[{"startupProbe":{"httpGet":{}}}]}}}}`: fmt.Sprintf(template,
			`"containers":[{"startupProbe":{"httpGet":{"port":0}},"name":"user-container",`+probe+`}]`+rest, traffic),
		`{"kind":"ConfigMap","data":{"a":"b"}}`:      `{"kind":"ConfigMap","data":{"a":"b"}}`,
		`{"kind":"Service","spec":[{"template":1}]}`: `{"kind":"Service","spec":[{"template":1}]}`, // not valid, and no crash
	} {
		got, expected := decode(t, in), decode(t, want)
		if Default(got); !reflect.DeepEqual(got, expected) {
			t.Errorf("%s\ngot  %v\nwant %v", in, got, expected)
		}
	}
}

// decode decodes JSON as k8s.io/apimachinery does.
func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	docs, ok := jsonDocuments([]byte(text))
	if !ok {
		t.Fatal(text)
	}
	left := maxValues
	return value(docs[0].Content[0], 0, &left).(map[string]any)
}

func TestUnknownFieldsAreCollected(t *testing.T) {
	const text = `{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"hello","lables":{}},"spec":{"foo":1,"template":{"spec":{"containers":[{"image":"i","imag":"j","<<":{}}]}}}}`
	object := decode(t, text)
	s, unknown, err := ReadService(object)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`unknown field "metadata.lables"; the nearest is labels`, `unknown field "spec.foo"; ServiceSpec has: template, traffic`,
		`unknown field "spec.template.spec.containers[0].<<" in Container`, `unknown field "spec.template.spec.containers[0].imag"; the nearest is image`,
	}
	if got := lines(unknown); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	clean := decode(t, `{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"hello","namespace":"default"},"spec":{"template":{"spec":{"containers":[{"image":"i"}]}}}}`)
	if !reflect.DeepEqual(s.Object, clean) {
		t.Errorf("%v", s.Object)
	}
	if !reflect.DeepEqual(object, decode(t, text)) {
		t.Error("the given object has changed")
	}

	o, unknown, err := ReadObject(decode(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"b"},"dat":{}}`))
	if err != nil || len(unknown) != 1 || unknown[0].Field != "dat" || o.Object["dat"] != nil || o.Data["a"] != "b" {
		t.Errorf("%v, %v, %v", o, unknown, err)
	}
}

func lines(unknown []Unknown) (all []string) {
	for _, u := range unknown {
		all = append(all, u.Error())
	}
	return all
}

func TestErrorsOfTheAPIHaveFieldsOnly(t *testing.T) {
	s, _, err := ReadService(decode(t, `{"metadata":{"name":"hello"},"spec":{"template":{"spec":{"containers":[{"image":1}]}},"traffic":[{"percent":"x"}]}}`))
	if s.Object != nil || err == nil || err.Error() != "field spec.template.spec.containers[0].image: should be a string, is 1 without quotes; quote it\n"+
		`field spec.traffic[0].percent: should be a whole number, is "x"` {
		t.Errorf("%v", err)
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Field != "spec.template.spec.containers[0].image" || e.Pos != (Pos{}) {
		t.Errorf("%+v", e)
	}
	var deep any = "x"
	for range 20_000 {
		deep = []any{deep}
	}
	for _, object := range []map[string]any{nil, {}, {"spec": deep}, {"spec": func() {}}, {"metadata": "x", "spec": []any{nil}}} {
		if _, _, err := ReadService(object); err == nil {
			t.Error("no error")
		}
		if _, err := ReadRevision(object); err == nil {
			t.Error("no error")
		}
		if _, _, err := ReadObject(object); err == nil {
			t.Error("no error")
		}
	}
}

// A file's object has what YAML says in the types of JSON.
func TestObjectOfAFile(t *testing.T) {
	services, err := Parse("f", []byte(head+`spec:
  template:
    spec:
      containers: [{image: i}]
      affinity: &a {on: yes, octal: 0o17, old: 017, float: .5, big: 123456789012345678901, inf: .inf, none: ~, when: 2001-01-01, list: [1, true, &b {c: d}]}
      nodeSelector: {again: *b, 1: x}
`))
	if err != nil {
		t.Fatal(err)
	}
	pod := child(child(child(services[0].Object, "spec"), "template"), "spec")
	got, err := json.Marshal([]any{pod["affinity"], pod["nodeSelector"], services[0].Object["metadata"]})
	const want = `[{"big":123456789012345680000,"float":0.5,"inf":".inf","list":[1,true,{"c":"d"}],"none":null,"octal":15,"old":15,"on":"yes","when":"2001-01-01"},{"1":"x","again":{"c":"d"}},{"name":"hello","namespace":"default"}]`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	bomb := "      affinity:\n        a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
	for i := 'b'; i <= 'j'; i++ {
		bomb += fmt.Sprintf("        %c: &%[1]c [%s*%c]\n", i, strings.Repeat(fmt.Sprintf("*%c, ", i-1), 7), i-1)
	}
	for _, affinity := range []string{"      affinity: &a {b: *a}\n", bomb} {
		_, err := Parse("f", []byte(head+"spec:\n  template:\n    spec:\n      containers: [{image: i}]\n"+affinity))
		if err == nil || err.Error() != "f:1: too large or too deep with its aliases written out" {
			t.Errorf("%v", err)
		}
	}
}
