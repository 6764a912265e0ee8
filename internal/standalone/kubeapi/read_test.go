package kubeapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

var (
	widgets    = schema.GroupVersionResource{Group: "test.dev", Version: "v1", Resource: "widgets"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	pods       = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	events     = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

// parse returns the object in a JSON text.
func parse(t interface{ Fatal(...any) }, text string) Object {
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return o
}

// names of objects.
func names(items []unstructured.Unstructured) []string {
	all := []string{}
	for _, o := range items {
		all = append(all, o.GetName())
	}
	return all
}

// testAPI is a server of resources for tests with its clients.
type testAPI struct {
	store   *store.Store
	dynamic dynamic.Interface
	client  *http.Client
	url     string
}

// serveTest serves the resources of the variables above until the end of the test. Widgets are custom resources; ConfigMaps are
// not. Both have namespaces default and other.
func serveTest(t *testing.T, c Config) *testAPI {
	t.Helper()
	if c.Store == nil {
		c.Store = store.New(100)
	}
	if c.Resources == nil {
		c.Resources = testObjects()
	}
	for _, name := range []string{"default", "other"} {
		c.Store.Put(namespaces.GroupResource(), parse(t, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+name+`"}}`))
	}
	s, addr := start(t, c)
	config := restConfig(t, s, addr)
	config.QPS = -1 // no limit
	withToken, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(withToken.CloseIdleConnections)
	d, err := dynamic.NewForConfigAndClient(config, withToken)
	if err != nil {
		t.Fatal(err)
	}
	return &testAPI{c.Store, d, client(t, s, false), "https://" + addr}
}

// testObjects are the resources of the variables above.
func testObjects() []Resource {
	columns := []Column{{Name: "Name", Type: "string", Format: "name", Value: func(o Object) any { return o.GetName() }}}
	all := []string{"create", "update", "patch", "delete"}
	admit := func(w Write) (Admission, error) { return Admission{Object: w.New}, nil }
	return []Resource{
		{GroupVersionResource: widgets, Kind: "Widget", Singular: "widget", Namespaced: true, Columns: columns, Writes: all, Admit: admit},
		{GroupVersionResource: configMaps, Kind: "ConfigMap", Singular: "configmap", Namespaced: true, Columns: columns, Writes: all, Admit: admit, Patch: &configMapFields{}},
		{GroupVersionResource: namespaces, Kind: "Namespace", Singular: "namespace", Columns: columns, Writes: all, Admit: admit},
		{GroupVersionResource: pods, Kind: "Pod", Singular: "pod", Namespaced: true, Columns: columns, ReadOnly: "it is made from its Service: change that"},
		{GroupVersionResource: events, Kind: "Event", Singular: "event", Namespaced: true, Columns: columns, ReadOnly: "they tell what happened"},
	}
}

// get returns the answer to a request for a path.
func (a *testAPI) get(t *testing.T, path string) (int, string) {
	t.Helper()
	res, body := ask(t, a.client, "GET", a.url+path, nil)
	return res.StatusCode, body
}

func TestReads(t *testing.T) {
	a := serveTest(t, Config{})
	ctx := t.Context()
	for _, o := range []string{
		`{"metadata":{"name":"b","namespace":"default","labels":{"app":"x"}},"spec":{"size":1}}`,
		`{"metadata":{"name":"a","namespace":"default","labels":{"app":"y"}},"spec":{"size":2}}`,
		`{"metadata":{"name":"c","namespace":"other","labels":{"app":"x"}},"spec":{"size":3}}`,
	} {
		a.store.Put(widgets.GroupResource(), parse(t, `{"apiVersion":"test.dev/v1","kind":"Widget",`+o[1:]))
	}
	o, err := a.dynamic.Resource(widgets).Namespace("default").Get(ctx, "a", metav1.GetOptions{})
	if size, _, _ := unstructured.NestedInt64(o.Object, "spec", "size"); err != nil || size != 2 || o.GetResourceVersion() != "104" {
		t.Errorf("got %v, %v", o, err)
	}
	if _, err := a.dynamic.Resource(widgets).Namespace("other").Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) || err.Error() != `widgets.test.dev "a" not found` {
		t.Errorf("got %v", err)
	}
	for _, c := range []struct {
		namespace string
		options   metav1.ListOptions
		want      string
	}{
		{"", metav1.ListOptions{}, "a b c"},
		{"default", metav1.ListOptions{}, "a b"},
		{"none", metav1.ListOptions{}, ""},
		{"", metav1.ListOptions{Limit: 1}, "a b c"},
		{"", metav1.ListOptions{LabelSelector: "app=x"}, "b c"},
		{"default", metav1.ListOptions{LabelSelector: "app in (x,y),app!=y"}, "b"},
		{"", metav1.ListOptions{FieldSelector: "metadata.name=a"}, "a"},
		{"", metav1.ListOptions{FieldSelector: "metadata.namespace!=other,metadata.name!=a"}, "b"},
		{"", metav1.ListOptions{ResourceVersion: "0"}, "a b c"},
		{"", metav1.ListOptions{ResourceVersion: "101"}, "a b c"},
		{"", metav1.ListOptions{ResourceVersion: "105", ResourceVersionMatch: metav1.ResourceVersionMatchExact}, "a b c"},
	} {
		list, err := a.dynamic.Resource(widgets).Namespace(c.namespace).List(ctx, c.options)
		if err != nil {
			t.Errorf("%s %v: %v", c.namespace, c.options, err)
			continue
		}
		if got := strings.Join(names(list.Items), " "); got != c.want || list.GetResourceVersion() != "105" || list.GetKind() != "WidgetList" {
			t.Errorf("%s %v: got %s of %v", c.namespace, c.options, got, list.Object["metadata"])
		}
	}
	paged, _, err := pager.New(pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) {
		return a.dynamic.Resource(widgets).List(ctx, o)
	})).List(ctx, metav1.ListOptions{Limit: 2})
	if list, ok := paged.(*unstructured.UnstructuredList); err != nil || !ok || len(list.Items) != 3 {
		t.Errorf("pager: %v, %v", paged, err)
	}
}

func TestFieldsOfPodsAndEvents(t *testing.T) {
	a := serveTest(t, Config{})
	for _, phase := range []string{"Pending", "Running"} {
		a.store.Put(pods.GroupResource(), parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p-`+strings.ToLower(phase)+`","namespace":"default"},"status":{"phase":"`+phase+`"}}`))
		a.store.Put(events.GroupResource(), parse(t, `{"apiVersion":"v1","kind":"Event","metadata":{"name":"e-`+strings.ToLower(phase)+
			`","namespace":"default"},"reason":"R`+phase+`","source":{"component":"kubelet"},"involvedObject":{"kind":"Pod","name":"p-`+strings.ToLower(phase)+`"}}`))
	}
	for path, want := range map[string]string{
		"pods?fieldSelector=status.phase%3DRunning":                                      "p-running",
		"pods?fieldSelector=status.phase!%3DRunning,spec.nodeName%3D":                    "p-pending",
		"events?fieldSelector=involvedObject.kind%3DPod,involvedObject.name%3Dp-pending": "e-pending",
		"events?fieldSelector=reason%3DRRunning,source%3Dkubelet":                        "e-running",
	} {
		code, body := a.get(t, "/api/v1/namespaces/default/"+path)
		var list struct{ Items []unstructured.Unstructured }
		if err := json.Unmarshal([]byte(body), &list); err != nil || code != 200 || !slices.Equal(names(list.Items), []string{want}) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestReadsThatAreRefused(t *testing.T) {
	a := serveTest(t, Config{})
	for path, want := range map[string]struct {
		code    int
		message string
	}{
		"widgets?fieldSelector=spec.size%3D1":                       {400, `"spec.size" is not a known field selector: only "metadata.name", "metadata.namespace"`},
		"widgets?fieldSelector=a":                                   {400, "invalid selector"},
		"widgets?labelSelector=a%20b":                               {400, "unable to parse requirement"},
		"widgets?watch=1&labelSelector=a%20b":                       {400, "unable to parse requirement"},
		"widgets?resourceVersion=x":                                 {400, `resourceVersion: Invalid value: "x"`},
		"widgets?resourceVersion=100000":                            {504, "Too large resource version"},
		"widgets?resourceVersionMatch=Exact":                        {422, "resourceVersionMatch is forbidden unless resourceVersion is provided"},
		"widgets?resourceVersion=101&resourceVersionMatch=Exact":    {410, "too old"},
		"widgets?continue=abc":                                      {400, "continue key is not valid"},
		"widgets?limit=x":                                           {400, "invalid syntax"},
		"widgets?watch=1&sendInitialEvents=true":                    {422, "sendInitialEvents requires setting resourceVersionMatch"},
		"widgets?sendInitialEvents=true&resourceVersionMatch=Exact": {422, "sendInitialEvents is forbidden for list"},
		"widgets?watch=1&resourceVersion=-1":                        {400, "resourceVersion: Invalid value"},
	} {
		code, body := a.get(t, "/apis/test.dev/v1/namespaces/default/"+path)
		if s := status(t, body); code != want.code || !strings.Contains(s.Message, want.message) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("labelSelector=a in (b)&fieldSelector=metadata.name=x&resourceVersion=0&limit=1&sendInitialEvents=1")
	resources := testObjects()
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}}
		o, err := listOptions(r)
		if err != nil {
			return
		}
		selected, err := newSelection(request{resource: &resources[0]}, o)
		if err == nil {
			selected.matches(parse(t, `{"apiVersion":"test.dev/v1","kind":"Widget","metadata":{"name":"x","labels":{"a":"b"}}}`))
		}
	})
}

func TestLogs(t *testing.T) {
	got := make(chan LogOptions, 1)
	pipe, log := io.Pipe()
	a := serveTest(t, Config{Logs: func(_ context.Context, namespace, pod string, o LogOptions) (io.ReadCloser, error) {
		if namespace != "default" || pod != "p" {
			return nil, apierrors.NewNotFound(pods.GroupResource(), pod)
		}
		got <- o
		return pipe, nil
	}})
	for path, want := range map[string]int{
		"q/log": 404, "p/log?tailLines=-1": 422, "p/log?limitBytes=x": 400, "p/log?sinceTime=x": 400,
		"p/log?sinceSeconds=0&limitBytes=0": 422, "p/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z": 422,
	} {
		if code, body := a.get(t, "/api/v1/namespaces/default/pods/"+path); code != want || status(t, body).Code != int32(want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if res, body := ask(t, a.client, "DELETE", a.url+"/api/v1/namespaces/default/pods/p/log", nil); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("delete: %s %s", res.Status, body)
	}

	r, err := http.NewRequestWithContext(t.Context(), "GET", a.url+"/api/v1/namespaces/default/pods/p/log?container=c&follow=true&tailLines=3&timestamps=1&limitBytes=9&sinceTime=2026-01-01T00:00:00Z", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	res, err := a.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	o := <-got
	if o.Since < 1 {
		t.Errorf("since %d", o.Since)
	}
	if o.Since = 0; o != (LogOptions{Container: "c", Follow: true, Tail: 3, Timestamps: true, LimitBytes: 9}) || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("got %+v, %v", o, res.Header)
	}
	// Each part comes while the log goes on.
	for _, line := range []string{"one\n", "two\n"} {
		if _, err := io.WriteString(log, line); err != nil {
			t.Fatal(err)
		}
		part := make([]byte, len(line))
		if _, err := io.ReadFull(res.Body, part); err != nil || string(part) != line {
			t.Fatalf("got %q, %v", part, err)
		}
	}
	log.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}
