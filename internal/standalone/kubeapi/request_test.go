package kubeapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// parser returns a Server that parses requests.
func parser(t testing.TB) *Server {
	t.Helper()
	s, err := New(Config{Token: testToken, Resources: testResources(), Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	s := parser(t)
	const ksvcs = "/apis/serving.knative.dev/v1/namespaces/a/services"
	for _, test := range []struct {
		method, target                               string
		verb, resource, namespace, name, subresource string
	}{
		{"GET", "/api/v1/pods", "list", "pods", "", "", ""},
		{"HEAD", "/api/v1/pods", "list", "pods", "", "", ""},
		{"GET", "/api/v1/pods/", "list", "pods", "", "", ""},
		{"GET", "/api/v1/pods?watch=1", "watch", "pods", "", "", ""},
		{"GET", "/api/v1/pods?watch=true&limit=5", "watch", "pods", "", "", ""},
		{"GET", "/api/v1/pods?watch", "watch", "pods", "", "", ""},
		{"GET", "/api/v1/pods?watch=false", "list", "pods", "", "", ""},
		{"GET", "/api/v1/pods?watch=0", "list", "pods", "", "", ""},
		{"GET", "/api/v1/namespaces/a/pods/b", "get", "pods", "a", "b", ""},
		{"GET", "/api/v1/namespaces/a/pods/b?watch=1", "get", "pods", "a", "b", ""},
		{"GET", "/api/v1/namespaces/a/pods/b/log", "get", "pods", "a", "b", "log"},
		{"GET", "/api/v1/namespaces", "list", "namespaces", "", "", ""},
		{"GET", "/api/v1/namespaces/a", "get", "namespaces", "", "a", ""},
		{"POST", "/api/v1/namespaces", "create", "namespaces", "", "", ""},
		{"GET", "/apis/apps/v1/namespaces/namespaces/deployments/namespaces", "get", "deployments", "namespaces", "namespaces", ""},
		{"GET", ksvcs, "list", "services", "a", "", ""},
		{"POST", ksvcs, "create", "services", "a", "", ""},
		{"DELETE", ksvcs, "deletecollection", "services", "a", "", ""},
		{"DELETE", "/apis/serving.knative.dev/v1/services", "deletecollection", "services", "", "", ""},
		{"GET", ksvcs + "/b", "get", "services", "a", "b", ""},
		{"PUT", ksvcs + "/b", "update", "services", "a", "b", ""},
		{"PATCH", ksvcs + "/b", "patch", "services", "a", "b", ""},
		{"DELETE", ksvcs + "/b", "delete", "services", "a", "b", ""},
	} {
		q, err := s.parse(httptest.NewRequest(test.method, test.target, nil))
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.target, err)
			continue
		}
		got := []string{q.verb, q.resource.Resource, q.namespace, q.name, q.subresource}
		if want := []string{test.verb, test.resource, test.namespace, test.name, test.subresource}; !slices.Equal(got, want) {
			t.Errorf("%s %s: got %q, want %q", test.method, test.target, got, want)
		}
	}
}

func TestWhatIsNotServed(t *testing.T) {
	s := parser(t)
	for _, test := range []struct {
		method, path string
		code         int
		message      string
	}{
		{"GET", "/", 404, "path / is not served by the quickstart"},
		{"GET", "/metrics", 404, "path /metrics is not served by the quickstart"},
		{"GET", "/api/v1//pods", 404, "path /api/v1//pods is not served by the quickstart"},
		{"GET", "/api/v2", 404, "path /api/v2 is not served by the quickstart"},
		{"GET", "/api/v1/nodes", 404, "resource nodes of v1 is not served by the quickstart"},
		{"GET", "/api/v1/nodes/a", 404, "resource nodes of v1 is not served by the quickstart"},
		{"GET", "/api/v1/watch/pods", 404, "resource watch of v1 is not served by the quickstart"},
		{"GET", "/api/v1/namespaces/a/services", 404, "resource services of v1 is not served by the quickstart"},
		{"GET", "/api/v1/namespaces/a/namespaces", 404, "resource namespaces of v1 is not served by the quickstart"},
		{"PUT", "/api/v1/namespaces/a/finalize", 404, "resource finalize of v1 is not served by the quickstart"},
		{"POST", "/apis/apps/v1/namespaces/a/daemonsets", 404, "resource daemonsets of apps/v1 is not served by the quickstart"},
		{"GET", "/apis/serving.knative.dev/v1beta1/services", 404, "resource services of serving.knative.dev/v1beta1 is not served by the quickstart"},
		{"GET", "/apis/example.com/v1/things", 404, "resource things of example.com/v1 is not served by the quickstart"},
		{"GET", "/apis/example.com/v1", 404, "path /apis/example.com/v1 is not served by the quickstart"},
		{"POST", "/api/v1/namespaces/a/pods/b/exec", 404, "subresource pods/exec of v1 is not served by the quickstart"},
		{"GET", "/api/v1/namespaces/a/pods/b/log/c", 404, "subresource pods/log/c of v1 is not served by the quickstart"},
		{"GET", "/apis/apps/v1/namespaces/a/deployments/b/scale", 404, "subresource deployments/scale of apps/v1 is not served by the quickstart"},
		{"GET", "/api/v1/pods/a", 404, "path /api/v1/pods/a, which names no namespace, is not served by the quickstart"},
		{"POST", "/api/v1/pods", 405, "POST /api/v1/pods is not supported on resources of kind \"pods\""},
		{"PUT", "/api/v1/namespaces/a/pods", 405, "PUT /api/v1/namespaces/a/pods is not supported on resources of kind \"pods\""},
		{"POST", "/api/v1/namespaces/a/pods/b", 405, "POST /api/v1/namespaces/a/pods/b is not supported on resources of kind \"pods\""},
		{"OPTIONS", "/api/v1/namespaces/a/pods/b", 405, "OPTIONS /api/v1/namespaces/a/pods/b is not supported on resources of kind \"pods\""},
	} {
		_, err := s.parse(httptest.NewRequest(test.method, test.path, nil))
		status, ok := err.(apierrors.APIStatus)
		if !ok {
			t.Errorf("%s %s: got %v", test.method, test.path, err)
			continue
		}
		if st := status.Status(); int(st.Code) != test.code || st.Message != test.message || st.Status != metav1.StatusFailure {
			t.Errorf("%s %s: got %d %s, want %d %s", test.method, test.path, st.Code, st.Message, test.code, test.message)
		}
	}
}

// What is parsed names a resource that is served, and its path can be made from it.
func FuzzParse(f *testing.F) {
	s := parser(f)
	for _, path := range []string{
		"/", "/api/v1/pods", "/api/v1/namespaces", "/api/v1/namespaces/a", "/api/v1/namespaces/a/pods/b/log", "/apis/apps/v1/deployments",
		"/apis/serving.knative.dev/v1/namespaces/a/services/b", "/api/v1/namespaces/../pods", "//api//v1", "/api/v1/pods/%2e/\x00",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			f.Add(method, path, "watch=1")
		}
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		q, err := s.parse(&http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}})
		if err != nil {
			if st, ok := err.(apierrors.APIStatus); !ok || st.Status().Code < 400 || st.Status().Code > 405 || st.Status().Message == "" {
				t.Fatalf("%s %q: got %v", method, path, err)
			}
			return
		}
		if s.resources[q.resource.GroupVersionResource] != q.resource {
			t.Fatalf("%s %q: it names a resource that isn't served: %v", method, path, q.resource)
		}
		again := pathOf(q.resource.GroupVersion())
		if q.namespace != "" {
			again += "/namespaces/" + q.namespace
		}
		for _, part := range []string{q.resource.Resource, q.name, q.subresource} {
			if part != "" {
				again += "/" + part
			}
		}
		if again != "/"+strings.Trim(path, "/") {
			t.Fatalf("%s %q: it was taken for %q", method, path, again)
		}
		verbs := map[string][]string{
			"GET": {"get", "list", "watch"}, "HEAD": {"get", "list", "watch"}, "POST": {"create"}, "PUT": {"update"}, "PATCH": {"patch"},
			"DELETE": {"delete", "deletecollection"},
		}[method]
		one := slices.Contains([]string{"get", "update", "patch", "delete"}, q.verb)
		if !slices.Contains(verbs, q.verb) || one != (q.name != "") || q.subresource != "" && q.name == "" {
			t.Fatalf("%s %q: got %+v", method, path, q)
		}
		if q.namespace != "" && !q.resource.Namespaced || q.name != "" && q.namespace == "" && q.resource.Namespaced {
			t.Fatalf("%s %q: got namespace %q of %s", method, path, q.namespace, q.resource.Resource)
		}
	})
}
