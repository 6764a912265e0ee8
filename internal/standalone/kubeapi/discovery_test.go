package kubeapi

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// discoverers returns clients for discovery: one that asks for the aggregated form, one that doesn't, and one that knows its
// older version alone.
func discoverers(t *testing.T, s *Server, addr string) map[string]*discovery.DiscoveryClient {
	t.Helper()
	all := map[string]*discovery.DiscoveryClient{}
	for _, name := range []string{"aggregated", "legacy", "v2beta1"} {
		config := restConfig(t, s, addr)
		if name == "v2beta1" {
			config.Wrap(func(next http.RoundTripper) http.RoundTripper { return withoutV2{next} })
		}
		h, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.CloseIdleConnections)
		c, err := discovery.NewDiscoveryClientForConfigAndClient(config, h)
		if err != nil {
			t.Fatal(err)
		}
		c.UseLegacyDiscovery = name == "legacy"
		all[name] = c
	}
	return all
}

// withoutV2 asks as clients before Kubernetes 1.30 do.
type withoutV2 struct{ http.RoundTripper }

func (w withoutV2) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	parts := strings.Split(r.Header.Get("Accept"), ",")
	r.Header.Set("Accept", strings.Join(slices.DeleteFunc(parts, func(p string) bool { return strings.Contains(p, "v=v2;") }), ","))
	return w.RoundTripper.RoundTrip(r)
}

func TestDiscovery(t *testing.T) {
	s, addr := start(t, Config{})
	read := metav1.Verbs{"get", "list", "watch"}
	want := map[string][]metav1.APIResource{
		"v1": {
			{Name: "namespaces", SingularName: "namespace", Kind: "Namespace", Verbs: read, ShortNames: []string{"ns"}},
			{Name: "pods", SingularName: "pod", Namespaced: true, Kind: "Pod", Verbs: read, ShortNames: []string{"po"}, Categories: []string{"all"}},
			{Name: "pods/log", Namespaced: true, Kind: "Pod", Verbs: metav1.Verbs{"get"}},
		},
		"apps/v1": {
			{Name: "deployments", SingularName: "deployment", Namespaced: true, Kind: "Deployment", Verbs: read, ShortNames: []string{"deploy"}},
		},
		"serving.knative.dev/v1": {
			{
				Name: "services", SingularName: "service", Namespaced: true, Kind: "Service", ShortNames: []string{"kservice", "ksvc"}, Categories: []string{"all", "knative", "serving"},
				Verbs: metav1.Verbs{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"},
			},
		},
	}
	for name, c := range discoverers(t, s, addr) {
		groups, lists, err := c.ServerGroupsAndResources()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if groups[0].Name != "" || groups[1].Name != "apps" || groups[2].Name != "serving.knative.dev" || groups[2].PreferredVersion.GroupVersion != "serving.knative.dev/v1" {
			t.Errorf("%s: got groups %v", name, groups)
		}
		got := map[string][]metav1.APIResource{}
		for _, list := range lists {
			for _, r := range list.APIResources {
				if len(r.Verbs) > 0 {
					r.Group, r.Version = "", "" // the aggregated form has them always
					if strings.Contains(r.Name, "/") {
						r.SingularName = "" // and this
					}
					got[list.GroupVersion] = append(got[list.GroupVersion], r)
				}
			}
		}
		if g, w := encode(t, got), encode(t, want); g != w {
			t.Errorf("%s:\ngot  %s\nwant %s", name, g, w)
		}
		preferred, err := c.ServerPreferredResources()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		watched := discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "watch"}}, preferred)
		if gvrs, err := discovery.GroupVersionResources(watched); err != nil || len(gvrs) != 4 {
			t.Errorf("%s: got preferred resources %v, %v", name, gvrs, err)
		}
		list, err := c.ServerResourcesForGroupVersion("apps/v1")
		if err != nil || list.GroupVersion != "apps/v1" {
			t.Errorf("%s: got %v, %v", name, list, err)
		}
		if _, err := c.ServerResourcesForGroupVersion("example.com/v1"); !discovery.IsGroupDiscoveryFailedError(err) && (err == nil || !strings.Contains(err.Error(), "path /apis/example.com/v1 is not served by the quickstart")) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAggregatedDiscoveryIsAskedOnce(t *testing.T) {
	s, addr := start(t, Config{})
	c := client(t, s, true)
	for path, groups := range map[string]int{"/api": 1, "/apis": 2} {
		for _, v := range []string{"v2", "v2beta1"} {
			res, body := ask(t, c, "GET", "https://"+addr+path, func(r *http.Request) {
				r.Header.Set("Accept", "application/json;g=apidiscovery.k8s.io;v="+v+";as=APIGroupDiscoveryList,application/json")
			})
			if got, want := res.Header.Get("Content-Type"), "application/json;g=apidiscovery.k8s.io;v="+v+";as=APIGroupDiscoveryList"; got != want || res.Header.Get("Vary") != "Accept" {
				t.Errorf("%s %s: got %v", path, v, res.Header)
			}
			var list struct {
				Kind, APIVersion string
				Items            []struct {
					Versions []struct {
						Freshness string
						Resources []struct {
							Scope string
							Verbs []string
						}
					}
				}
			}
			if err := json.Unmarshal([]byte(body), &list); err != nil || list.Kind != "APIGroupDiscoveryList" || list.APIVersion != "apidiscovery.k8s.io/"+v {
				t.Errorf("%s %s: %v: %s", path, v, err, body)
			}
			served := 0
			for _, g := range list.Items {
				if slices.ContainsFunc(g.Versions[0].Resources, func(r struct {
					Scope string
					Verbs []string
				},
				) bool {
					return len(r.Verbs) > 0
				}) {
					served++
				}
			}
			if served != groups {
				t.Errorf("%s %s: got %d groups with resources that are served: %s", path, v, served, body)
			}
		}
		res, body := ask(t, c, "GET", "https://"+addr+path, func(r *http.Request) { r.Header.Set("Accept", "application/vnd.kubernetes.protobuf") })
		if st := status(t, body); res.StatusCode != 406 || st.Reason != metav1.StatusReasonNotAcceptable {
			t.Errorf("%s as protobuf: got %s: %s", path, res.Status, body)
		}
	}
}

func TestNamesOfResources(t *testing.T) {
	s, addr := start(t, Config{})
	for form, c := range discoverers(t, s, addr) {
		cached := memory.NewMemCacheClient(c)
		mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
		for name, want := range map[string]schema.GroupVersionResource{
			"po":       {Version: "v1", Resource: "pods"},
			"pod":      {Version: "v1", Resource: "pods"},
			"ns":       {Version: "v1", Resource: "namespaces"},
			"deploy":   {Group: "apps", Version: "v1", Resource: "deployments"},
			"ksvc":     {Group: "serving.knative.dev", Version: "v1", Resource: "services"},
			"kservice": {Group: "serving.knative.dev", Version: "v1", Resource: "services"},
			"services": {Group: "serving.knative.dev", Version: "v1", Resource: "services"},
			"ds":       {Group: "apps", Version: "v1", Resource: "daemonsets"}, // isn't served
		} {
			got, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: name})
			if err != nil || got != want {
				t.Errorf("%s: %s: got %v, %v", form, name, got, err)
			}
		}
		mapping, err := mapper.RESTMapping(schema.GroupKind{Group: "serving.knative.dev", Kind: "Service"})
		if err != nil || mapping.Resource.Resource != "services" || mapping.Scope.Name() != "namespace" {
			t.Errorf("%s: got %v, %v", form, mapping, err)
		}
		all, _ := restmapper.NewDiscoveryCategoryExpander(cached).Expand("all")
		slices.SortFunc(all, func(a, b schema.GroupResource) int { return strings.Compare(a.Group, b.Group) })
		if !slices.Equal(all, []schema.GroupResource{{Resource: "pods"}, {Group: "serving.knative.dev", Resource: "services"}}) {
			t.Errorf("%s: got category all of %v", form, all)
		}
	}
}

func TestVersion(t *testing.T) {
	s, addr := start(t, Config{})
	got, err := discoverers(t, s, addr)["aggregated"].ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if got.Major != "1" || got.Minor != "36" || got.GitVersion != "v1.36.0+sluice.1.2.3" {
		t.Errorf("got %+v", got)
	}
	if gomod, err := os.ReadFile("../../../go.mod"); err != nil || !strings.Contains(string(gomod), "k8s.io/apimachinery v0."+minor+".") {
		t.Errorf("go.mod has another version of k8s.io/apimachinery than %s.%s (%v)", major, minor, err)
	}
	for _, v := range []string{"", "devel", "v1.2.3-0.2026+dirty", "(unknown) ü", "---", "1..2", "(devel) go1.26.8"} {
		s.config.Version = v
		if v, err := utilversion.ParseSemantic(s.version().GitVersion); err != nil || !strings.HasPrefix(v.BuildMetadata(), "sluice") {
			t.Errorf("%q: got %v, %v", s.version().GitVersion, v, err)
		}
	}
}

func TestDocumentsAreReadOnly(t *testing.T) {
	s, addr := start(t, Config{})
	for _, path := range []string{"/version", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1"} {
		for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405} {
			if res, body := ask(t, client(t, s, false), method, "https://"+addr+path, nil); res.StatusCode != want || want == 405 && status(t, body).Message != method+" "+path+": this can only be read, with GET" {
				t.Errorf("%s %s: got %s: %s", method, path, res.Status, body)
			}
		}
	}
}
