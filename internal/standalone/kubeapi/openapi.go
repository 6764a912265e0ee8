package kubeapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Names of schemas, by Kubernetes' OpenAPI; of their last parts kubectl explain makes the names of types.
const (
	metadataSchema = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
	kindExtension  = "x-kubernetes-group-version-kind"
)

// serveOpenAPI serves /openapi/v3, the index, and the documents that it names; false: path is none of those.
//
// Clients need version 2 for one thing: kubectl apply, create and replace, 1.28 to 1.35 at least, ask for it, as protobuf alone,
// before they send a List, or a kind that isn't in version 3, and skip its validation if it has no schema of the kind. So it
// is there, without schemas.
func (s *Server) serveOpenAPI(w http.ResponseWriter, r *http.Request, path string) (found bool, err error) {
	switch {
	case path == "/openapi/v2":
		return true, serveOpenAPIv2(w, r)
	case path == "/openapi/v3":
		index := map[string]any{}
		for path, document := range s.openAPI() {
			hash := sha256.Sum256(document)
			index[strings.TrimPrefix(path, "/openapi/v3/")] = map[string]string{
				"serverRelativeURL": path + "?hash=" + strings.ToUpper(hex.EncodeToString(hash[:])),
			}
		}
		return true, writeDocument(w, r, map[string]any{"paths": index})
	}
	if document := s.openAPI()[path]; document != nil {
		return true, writeDocument(w, r, json.RawMessage(document))
	}
	return false, nil
}

// openAPIv2 is an OpenAPI v2 document without paths, as openapi.v2.Document of github.com/google/gnostic-models: field 1,
// swagger, is 2.0; field 2, info, has field 1, title, and field 2, version.
const openAPIv2 = "\x0a\x032.0\x12\x0c\x0a\x06sluice\x12\x02v1"

// serveOpenAPIv2 serves version 2, in the form that client-go wants: its media type has an @ where the newest has a dot.
func serveOpenAPIv2(w http.ResponseWriter, r *http.Request) error {
	if err := readOnly(r); err != nil {
		return err
	}
	for _, element := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		switch mediaType := strings.TrimSpace(element); mediaType {
		case "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf":
			w.Header().Set("Content-Type", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
			_, _ = w.Write([]byte(openAPIv2))
			return nil
		}
	}
	return writeDocument(w, r, map[string]any{
		"swagger": "2.0", "info": map[string]any{"title": "sluice", "version": "v1"}, "paths": map[string]any{},
	})
}

// openAPIDocuments returns the OpenAPI v3 documents of all versions of groups, by their paths.
func (s *Server) openAPIDocuments() map[string][]byte {
	all := map[string][]byte{}
	for _, g := range s.groups {
		for _, v := range g.versions {
			document, err := json.Marshal(openAPIDocument(v))
			if err != nil {
				panic(err) // all of it comes from decoded JSON
			}
			all["/openapi/v3"+pathOf(v.GroupVersion)] = document
		}
	}
	return all
}

// openAPIDocument returns the OpenAPI v3 document of a version of a group.
func openAPIDocument(v groupVersion) map[string]any {
	paths, schemas := map[string]any{}, map[string]any{metadataSchema: schemaOf(reflect.TypeFor[metav1.ObjectMeta]())}
	for _, r := range v.resources {
		schemas[schemaName(r)] = schemaOfObject(r)
		addPaths(paths, r)
	}
	return map[string]any{
		"openapi":    "3.0.0",
		"info":       map[string]any{"title": "sluice", "version": "v1"},
		"paths":      paths,
		"components": map[string]any{"schemas": schemas},
	}
}

// schemaName returns the name of the schema of a resource's objects: dev.knative.serving.v1.Service.
func schemaName(r *Resource) string {
	parts := strings.Split(r.Group, ".")
	if r.Group == "" {
		parts = []string{"core", "k8s", "io"}
	}
	slices.Reverse(parts)
	return strings.Join(append(parts, r.Version, r.Kind), ".")
}

// reference returns a reference to a schema.
func reference(name string) map[string]any {
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// kindOf returns the value of kindExtension.
func kindOf(r *Resource) map[string]any {
	return map[string]any{"group": r.Group, "version": r.Version, "kind": r.Kind}
}

// schemaOfObject returns the schema of a resource's objects, with what all objects have.
func schemaOfObject(r *Resource) map[string]any {
	schema := maps.Clone(r.Schema)
	if schema == nil {
		schema = map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
	}
	if r.unserved {
		schema["description"] = "Not served by the quickstart."
	}
	properties, _ := schema["properties"].(map[string]any)
	properties = maps.Clone(properties)
	if properties == nil {
		properties = map[string]any{}
	}
	described := schemaOf(reflect.TypeFor[metav1.TypeMeta]())["properties"].(map[string]any)
	for name, property := range described { // apiVersion and kind
		properties[name] = property
	}
	properties["metadata"] = map[string]any{
		"description": "What all objects have: a name, labels and more.", "allOf": []any{reference(metadataSchema)}, "default": map[string]any{},
	}
	schema["properties"] = properties
	schema[kindExtension] = []any{kindOf(r)}
	return schema
}

// parameters of operations by verbs, as the options in metav1; each list has a type whose json tags are their names.
var parameters = map[string]reflect.Type{
	"get":              reflect.TypeFor[metav1.GetOptions](),
	"list":             reflect.TypeFor[metav1.ListOptions](),
	"create":           reflect.TypeFor[metav1.CreateOptions](),
	"update":           reflect.TypeFor[metav1.UpdateOptions](),
	"patch":            reflect.TypeFor[metav1.PatchOptions](),
	"delete":           reflect.TypeFor[metav1.DeleteOptions](),
	"deletecollection": reflect.TypeFor[metav1.ListOptions](),
}

// addPaths adds the operations of a resource.
func addPaths(paths map[string]any, r *Resource) {
	base := pathOf(r.GroupVersion())
	collection := base + "/" + r.Resource
	inPath := []any{}
	if r.Namespaced {
		if !r.unserved {
			paths[collection] = map[string]any{"get": operation(r, "list", "ForAllNamespaces")}
		}
		collection = base + "/namespaces/{namespace}/" + r.Resource
		inPath = append(inPath, pathParameter("namespace"))
	}
	all, one := map[string]any{"parameters": inPath}, map[string]any{"parameters": append(slices.Clone(inPath), pathParameter("name"))}
	for _, o := range []struct {
		item   map[string]any
		method string
		verb   string
	}{
		{all, "get", "list"},
		{all, "post", "create"},
		{all, "delete", "deletecollection"},
		{one, "get", "get"},
		{one, "put", "update"},
		// Before kubectl applies an object, it looks here for a patch with fieldValidation, and fails with an error of its own
		// without one. So there is one for each resource, also for those that answer with their ReadOnly.
		{one, "patch", "patch"},
		{one, "delete", "delete"},
	} {
		if o.verb == "patch" || slices.Contains(verbs(r), o.verb) {
			o.item[o.method] = operation(r, o.verb, "")
		}
	}
	paths[collection+"/{name}"] = one
	if !r.unserved {
		paths[collection] = all
	}
}

// pathParameter returns a parameter in the path.
func pathParameter(name string) map[string]any {
	return map[string]any{"name": name, "in": "path", "required": true, "schema": map[string]any{"type": "string"}}
}

// operation returns the description of a verb.
func operation(r *Resource, verb, suffix string) map[string]any {
	object := map[string]any{"schema": reference(schemaName(r))}
	o := map[string]any{
		"operationId":         verb + r.Kind + suffix,
		"x-kubernetes-action": map[string]string{"create": "post", "update": "put"}[verb],
		kindExtension:         kindOf(r),
		"responses": map[string]any{"200": map[string]any{
			"description": "OK", "content": map[string]any{"application/json": map[string]any{}},
		}},
	}
	if o["x-kubernetes-action"] == "" {
		o["x-kubernetes-action"] = verb
	}
	switch verb {
	case "get", "create", "update", "patch":
		o["responses"].(map[string]any)["200"].(map[string]any)["content"] = map[string]any{"application/json": object}
	}
	switch verb {
	case "create", "update":
		o["requestBody"] = map[string]any{"required": true, "content": map[string]any{"application/json": object}}
	case "patch":
		content := map[string]any{}
		for _, t := range []types.PatchType{types.JSONPatchType, types.MergePatchType, types.ApplyYAMLPatchType, types.StrategicMergePatchType} {
			if t != types.StrategicMergePatchType || r.Patch != nil {
				content[string(t)] = map[string]any{"schema": map[string]any{"type": "object"}}
			}
		}
		o["requestBody"] = map[string]any{"required": true, "content": content}
	}
	if !slices.Contains(verbs(r), verb) {
		o["description"] = "Refused: " + r.ReadOnly
	}
	options := schemaOf(parameters[verb])["properties"].(map[string]any)
	inQuery := []any{}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		option := options[name].(map[string]any)
		kind := option["type"]
		switch kind {
		case "object":
			continue // in the body only
		case "array":
			kind = "string" // which may be repeated
		}
		if name == "shardSelector" {
			continue // alpha, and not served
		}
		inQuery = append(inQuery, map[string]any{
			"name": name, "in": "query", "description": option["description"], "schema": map[string]any{"type": kind},
		})
	}
	o["parameters"] = inQuery
	return o
}

// schemaOf returns the schema of a type of metav1: of what JSON its tags make, with the descriptions that it has.
func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[metav1.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[metav1.FieldsV1]():
		return map[string]any{"type": "object"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int64:
		return map[string]any{"type": "integer", "format": "int64"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
	default:
		panic("kubeapi: there is no schema for " + t.String())
	}
	var descriptions map[string]string
	if d, ok := reflect.Zero(t).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
		descriptions = d.SwaggerDoc()
	}
	properties, required := map[string]any{}, []any{}
	for field := range t.Fields() {
		name, rest, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue // inlined: TypeMeta of options
		}
		property := schemaOf(field.Type)
		if d := descriptions[name]; d != "" {
			property["description"] = d
		}
		for tag, extension := range map[string]string{"patchStrategy": "x-kubernetes-patch-strategy", "patchMergeKey": "x-kubernetes-patch-merge-key"} {
			if v := field.Tag.Get(tag); v != "" {
				property[extension] = v
			}
		}
		properties[name] = property
		if !strings.Contains(rest, "omitempty") && !strings.Contains(rest, "omitzero") {
			required = append(required, name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if d := descriptions[""]; d != "" {
		schema["description"] = d
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}
