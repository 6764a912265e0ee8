package kubeapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	tableV1    = "application/json;as=Table;v=v1;g=meta.k8s.io"
	metadataV1 = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
)

func TestNegotiate(t *testing.T) {
	table, metadata := format{kind: "Table", apiVersion: "meta.k8s.io/v1"}, format{kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1"}
	for accept, want := range map[string]*format{
		"":                                   {},
		"*/*":                                {},
		"application/*":                      {},
		"application/json":                   {},
		"application/json; charset=utf-8":    {},
		"application/yaml, application/json": {},
		"application/json, */*":              {},
		"application/json;stream=watch":      {},
		tableV1:                              &table,
		tableV1 + ",application/json":        &table,
		"application/json;q=0.5," + tableV1:  &table,
		tableV1 + ";q=0.5,application/json":  {},
		tableV1 + ";q=0,application/json":    {},
		tableV1 + ";q=x,application/json":    {},
		";;,application/json":                {},
		metadataV1:                           &metadata,
		// Of kubectl, of the metadata client, and of client-go's informers with CBOR or protobuf.
		"application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json":                                                       &table,
		"application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json": &metadata,
		"application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json":                                                                                                    {kind: "Table", apiVersion: "meta.k8s.io/v1beta1"},
		"application/json;as=Table;v=v9;g=meta.k8s.io,application/json":                                                                                                         {},
		"application/json;as=Thing;v=v1;g=meta.k8s.io,application/json":                                                                                                         {},
		"application/vnd.kubernetes.protobuf,application/json":                                                                                                                  {},
		"application/vnd.kubernetes.protobuf":                                                                                                                                   nil,
		"application/cbor":                                                                                                                                                      nil,
		"application/yaml":                                                                                                                                                      nil,
		"text/html":                                                                                                                                                             nil,
		"application/json;q=0":                                                                                                                                                  nil,
		"application/json;as=Table;v=v9;g=x":                                                                                                                                    nil,
		"application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io":                                                                                                       nil,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		got, err := negotiate(r)
		switch {
		case want == nil:
			var st apierrors.APIStatus
			if !errors.As(err, &st) || st.Status().Code != http.StatusNotAcceptable || st.Status().Reason != metav1.StatusReasonNotAcceptable {
				t.Errorf("%s: got %v, %v", accept, got, err)
			}
		case err != nil || *got != *want:
			t.Errorf("%s: got %+v, %v; want %+v", accept, got, err, *want)
		}
	}
}

func TestNegotiateIncludeObject(t *testing.T) {
	for include, code := range map[string]int32{"": 0, "None": 0, "Metadata": 0, "Object": 0, "Everything": 400, "none": 400} {
		r := httptest.NewRequest("GET", "/?includeObject="+include, nil)
		r.Header.Set("Accept", tableV1)
		f, err := negotiate(r)
		if code == 0 {
			if err != nil || string(f.include) != include {
				t.Errorf("%s: got %+v, %v", include, f, err)
			}
			continue
		}
		var st apierrors.APIStatus
		if !errors.As(err, &st) || st.Status().Code != code {
			t.Errorf("%s: got %v", include, err)
		}
	}
}

// service returns an object.
func service(name string, generation int64) Object {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": map[string]any{"a": "b"},
	}}
	o.SetName(name)
	o.SetNamespace("default")
	o.SetResourceVersion("7")
	o.SetGeneration(generation)
	return o
}

// encode returns the JSON of v, as one value.
func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFormats(t *testing.T) {
	r := &testResources()[3]
	const (
		object  = `{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"generation":2,"name":"a","namespace":"default","resourceVersion":"7"},"spec":{"a":"b"}}`
		partial = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","namespace":"default","resourceVersion":"7","generation":2}}`
		columns = `"columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"","priority":0},` +
			`{"name":"Generation","type":"integer","format":"","description":"Of the spec.","priority":0},` +
			`{"name":"Reason","type":"string","format":"","description":"","priority":1}]`
		table = `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":`
	)
	one := []Object{service("a", 2)}
	rest := int64(3)
	m := metav1.ListMeta{ResourceVersion: "9", Continue: "c", RemainingItemCount: &rest}
	const meta = `{"resourceVersion":"9","continue":"c","remainingItemCount":3}`
	for _, test := range []struct{ name, got, want string }{
		{"object", encode(t, (&format{}).object(r, one[0])), object},
		{"event", encode(t, (&format{}).event(r, one[0])), object},
		{"list", encode(t, (&format{}).list(r, one, m)), `{"kind":"ServiceList","apiVersion":"serving.knative.dev/v1","metadata":` + meta + `,"items":[` + object + `]}`},
		{"empty list", encode(t, (&format{}).list(r, nil, m)), `{"kind":"ServiceList","apiVersion":"serving.knative.dev/v1","metadata":` + meta + `,"items":[]}`},
	} {
		if test.got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, test.got, test.want)
		}
	}

	f := format{kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1"}
	for _, test := range []struct{ name, got, want string }{
		{"object", encode(t, f.object(r, one[0])), partial},
		{"event", encode(t, f.event(r, one[0])), partial},
		{"list", encode(t, f.list(r, one, m)), `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":` + meta + `,"items":[` + partial + `]}`},
		{"empty list", encode(t, f.list(r, nil, m)), `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":` + meta + `,"items":[]}`},
	} {
		if test.got != test.want {
			t.Errorf("metadata, %s:\ngot  %s\nwant %s", test.name, test.got, test.want)
		}
	}

	for include, row := range map[metav1.IncludeObjectPolicy]string{"": partial, metav1.IncludeMetadata: partial, metav1.IncludeObject: object, metav1.IncludeNone: "null"} {
		f := format{kind: "Table", apiVersion: "meta.k8s.io/v1", include: include}
		rows := `,"rows":[{"cells":["a",2,null],"object":` + row + `}]}`
		for _, test := range []struct{ name, got, want string }{
			{"list", encode(t, f.list(r, one, m)), table + meta + "," + columns + rows},
			{"empty list", encode(t, f.list(r, nil, m)), table + meta + "," + columns + `,"rows":[]}`},
			{"object", encode(t, f.object(r, one[0])), table + `{"resourceVersion":"7"},` + columns + rows},
			{"first event", encode(t, f.event(r, one[0])), table + `{"resourceVersion":"7"},` + columns + rows},
			{"second event", encode(t, f.event(r, one[0])), table + `{"resourceVersion":"7"},"columnDefinitions":[]` + rows},
		} {
			if test.got != test.want {
				t.Errorf("table with %q, %s:\ngot  %s\nwant %s", include, test.name, test.got, test.want)
			}
		}
	}
	if got := encode(t, one[0]); got != object {
		t.Errorf("the object was changed: %s", got)
	}
}

func TestWriteStatus(t *testing.T) {
	for _, test := range []struct {
		err         error
		code        int
		retry, body string
	}{
		{
			apierrors.NewTooManyRequests("later", 3), 429, "3",
			`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"later","reason":"TooManyRequests","details":{"retryAfterSeconds":3},"code":429}`,
		},
		{
			errors.New("a fault"), 500, "",
			`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Internal error occurred: a fault","reason":"InternalError","details":{"causes":[{"message":"a fault"}]},"code":500}`,
		},
		{
			&http.MaxBytesError{Limit: 5}, 413, "",
			`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Request entity too large: the limit is 5 bytes","reason":"RequestEntityTooLarge","code":413}`,
		},
		{
			errors.Join(errors.New("why"), apierrors.NewBadRequest("no")), 400, "",
			`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"BadRequest","code":400}`,
		},
	} {
		w := httptest.NewRecorder()
		writeStatus(w, httptest.NewRequest("GET", "/", nil), test.err)
		if w.Code != test.code || w.Header().Get("Retry-After") != test.retry || w.Body.String() != test.body+"\n" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v: got %d %v %s", test.err, w.Code, w.Header(), w.Body)
		}
	}
}

func TestPretty(t *testing.T) {
	for query, want := range map[string]string{"": "{\"a\":1}\n", "?pretty=true": "{\n  \"a\": 1\n}\n", "?pretty=false": "{\"a\":1}\n"} {
		w := httptest.NewRecorder()
		writeJSON(w, httptest.NewRequest("GET", "/"+query, nil), 200, map[string]int{"a": 1})
		if got := w.Body.String(); got != want {
			t.Errorf("%s: got %q", query, got)
		}
	}
}
