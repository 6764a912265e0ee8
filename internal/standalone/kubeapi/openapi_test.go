package kubeapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/openapi3"
)

func TestOpenAPI(t *testing.T) {
	s, addr := start(t, Config{})
	c := discoverers(t, s, addr)["aggregated"].OpenAPIV3()
	root := openapi3.NewRoot(c)
	versions, err := root.GroupVersions()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []schema.GroupVersion{{Version: "v1"}, {Group: "apps", Version: "v1"}, {Group: "serving.knative.dev", Version: "v1"}, {Group: "batch", Version: "v1"}} {
		if !slices.Contains(versions, v) {
			t.Errorf("%v is not among %v", v, versions)
		}
	}
	for _, r := range withUnserved(testResources()) {
		spec, err := root.GVSpec(r.GroupVersion())
		if err != nil {
			t.Errorf("%v: %v", r.GroupVersion(), err)
			continue
		}
		// How kubectl finds the schema of a kind, and of its metadata.
		named := spec.Components.Schemas[schemaName(r)]
		var kinds []map[string]string
		if err := named.Extensions.GetObject(kindExtension, &kinds); err != nil || len(kinds) != 1 || kinds[0]["kind"] != r.Kind || kinds[0]["group"] != r.Group || kinds[0]["version"] != r.Version {
			t.Errorf("%s: got kinds %v, %v", r.Kind, kinds, err)
		}
		metadata := named.Properties["metadata"].AllOf[0].Ref
		name := strings.TrimPrefix(metadata.String(), "#/components/schemas/")
		if properties := spec.Components.Schemas[name].Properties; properties["labels"].AdditionalProperties == nil || properties["creationTimestamp"].Format != "date-time" || properties["ownerReferences"].Items == nil {
			t.Errorf("%s: got metadata %v", r.Kind, properties)
		}
		// kubectl leaves validation to the server only if a patch of the kind has fieldValidation.
		path := pathOf(r.GroupVersion())
		if r.Namespaced {
			path += "/namespaces/{namespace}"
		}
		one, all := spec.Paths.Paths[path+"/"+r.Resource+"/{name}"], spec.Paths.Paths[path+"/"+r.Resource]
		if one == nil || one.Patch == nil || (all == nil) != r.unserved {
			t.Errorf("%s: got paths %v", r.Kind, slices.Sorted(maps.Keys(spec.Paths.Paths)))
			continue
		}
		var kind map[string]string
		if err := one.Patch.Extensions.GetObject(kindExtension, &kind); err != nil || kind["kind"] != r.Kind {
			t.Errorf("%s: got a patch of %v, %v", r.Kind, kind, err)
		}
		var inQuery []string
		for _, p := range one.Patch.Parameters {
			inQuery = append(inQuery, p.Name)
		}
		if want := []string{"dryRun", "fieldManager", "fieldValidation", "force"}; !slices.Equal(inQuery, want) {
			t.Errorf("%s: a patch has the parameters %v, want %v", r.Kind, inQuery, want)
		}
		if r.unserved {
			continue
		}
		writes := map[string]bool{"create": all.Post != nil, "deletecollection": all.Delete != nil, "update": one.Put != nil, "delete": one.Delete != nil, "get": one.Get != nil, "list": all.Get != nil}
		for verb, is := range writes {
			if want := slices.Contains(verbs(r), verb); is != want {
				t.Errorf("%s: %s is %v, want %v", r.Kind, verb, is, want)
			}
		}
		if refused := strings.Contains(one.Patch.Description, "Refused: "+r.ReadOnly); refused == slices.Contains(verbs(r), "patch") {
			t.Errorf("%s: a patch says %q", r.Kind, one.Patch.Description)
		}
	}
}

// kubectl merges by the schema if the server takes strategic merge patches, and fails if it lacks a field.
func TestPatchTypes(t *testing.T) {
	resources := testResources()
	resources[3].Patch = &struct{}{}
	s, addr := start(t, Config{Resources: resources})
	root := openapi3.NewRoot(discoverers(t, s, addr)["legacy"].OpenAPIV3())
	other := []string{"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"}
	for group, want := range map[string][]string{"apps": other, "serving.knative.dev": append(other, "application/strategic-merge-patch+json")} {
		spec, err := root.GVSpec(schema.GroupVersion{Group: group, Version: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		for path, item := range spec.Paths.Paths {
			if item.Patch == nil || strings.Contains(path, "sets/") || strings.Contains(path, "controllerrevisions") {
				continue
			}
			if got := slices.Sorted(maps.Keys(item.Patch.RequestBody.Content)); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", path, got, want)
			}
		}
	}
}

// The schema of the metadata has what kubectl's strategic merge looks up there.
func TestStrategicMergeByTheSchema(t *testing.T) {
	s, addr := start(t, Config{})
	spec, err := openapi3.NewRoot(discoverers(t, s, addr)["aggregated"].OpenAPIV3()).GVSpec(schema.GroupVersion{Group: "serving.knative.dev", Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	meta := strategicpatch.PatchMetaFromOpenAPIV3{Schema: spec.Components.Schemas["dev.knative.serving.v1.Service"], SchemaList: spec.Components.Schemas}
	object := func(labels, owners string) []byte {
		return []byte(`{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"labels":{` + labels + `},"ownerReferences":[` + owners + `]},"spec":{"template":{}}}`)
	}
	const a, b = `{"uid":"a","name":"a"}`, `{"uid":"b","name":"b"}`
	got, err := strategicpatch.CreateThreeWayMergePatch(object(`"x":"1"`, a), object(`"y":"2"`, a+","+b), object(`"x":"1","z":"3"`, a), meta, true)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{"$setElementOrder/ownerReferences":[{"uid":"a"},{"uid":"b"}],"labels":{"x":null,"y":"2"},"ownerReferences":[{"name":"b","uid":"b"}]}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestOpenAPIIndex(t *testing.T) {
	s, addr := start(t, Config{})
	c := client(t, s, true)
	_, body := ask(t, c, "GET", "https://"+addr+"/openapi/v3", nil)
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal([]byte(body), &index); err != nil {
		t.Fatal(err)
	}
	for name, item := range index.Paths {
		u, err := url.Parse(item.ServerRelativeURL)
		if err != nil || u.Path != "/openapi/v3/"+name || !regexp.MustCompile("^[0-9A-F]{64}$").MatchString(u.Query().Get("hash")) {
			t.Errorf("%s: got %s, %v", name, item.ServerRelativeURL, err)
		}
		res, body := ask(t, c, "GET", "https://"+addr+item.ServerRelativeURL, nil)
		if res.StatusCode != http.StatusOK || !json.Valid([]byte(body)) || strings.Contains(body, ":null") {
			t.Errorf("%s: got %s: %.2000s", name, res.Status, body)
		}
		// Each schema that is named is there.
		for _, m := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(body, -1) {
			if !strings.Contains(body, `"`+m[1]+`":{`) {
				t.Errorf("%s: there is no schema %s", name, m[1])
			}
		}
	}
	if _, body := ask(t, c, "GET", "https://"+addr+"/openapi/v3/apis/example.com/v1", nil); status(t, body).Reason != metav1.StatusReasonNotFound {
		t.Errorf("got %s", body)
	}
}

// kubectl asks for it, as protobuf, before it sends a List.
func TestOpenAPIv2(t *testing.T) {
	s, addr := start(t, Config{})
	document, err := discoverers(t, s, addr)["aggregated"].OpenAPISchema()
	if err != nil {
		t.Fatal(err)
	}
	if document.GetSwagger() != "2.0" || document.GetInfo().GetTitle() != "sluice" || document.GetInfo().GetVersion() != "v1" || document.GetDefinitions() != nil {
		t.Errorf("got %v", document)
	}
	if _, body := ask(t, client(t, s, false), "GET", "https://"+addr+"/openapi/v2", nil); !strings.Contains(body, `"swagger":"2.0"`) {
		t.Errorf("got %s", body)
	}
}
