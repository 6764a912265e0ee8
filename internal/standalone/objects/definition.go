package objects

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

// Definitions returns the CustomResourceDefinitions of Knative's kinds, as far as clients look at them: kn asks them which sources there are,
// which have a label (knative.dev/eventing/config/core/resources).
func Definitions() []Item {
	var all []Item
	versions := map[schema.GroupResource][]any{}
	kinds := Kinds()
	for _, k := range kinds {
		versions[k.GroupResource()] = append(versions[k.GroupResource()], map[string]any{"name": k.Version, "served": true, "storage": k.Stored == ""})
	}
	for _, k := range kinds {
		if !strings.HasSuffix(k.Group, ".knative.dev") || k.Stored != "" {
			continue
		}
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": definitions.apiVersion(), "kind": definitions.name,
			"spec": map[string]any{
				"group": k.Group, "scope": "Namespaced",
				"names": map[string]any{
					"kind": k.Kind, "listKind": k.Kind + "List", "plural": k.Resource, "singular": k.Singular,
					"shortNames": values(k.ShortNames), "categories": values(k.Categories),
				},
				"versions": versions[k.GroupResource()],
			},
		}}
		o.SetName(k.GroupResource().String())
		if k.Group == sources.Group {
			o.SetLabels(map[string]string{"duck.knative.dev/source": "true"})
		}
		store.Prepare(nil, o)
		all = append(all, Item{definitions.GroupResource(), o})
	}
	return all
}

// values returns a list of strings as decoded JSON has it.
func values(list []string) []any {
	all := make([]any, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
}

func definitionColumns() []kubeapi.Column {
	return []kubeapi.Column{
		nameColumn(),
		{Name: "Created At", Type: "date", Value: func(o kubeapi.Object) any { return format(o.GetCreationTimestamp().Time) }},
	}
}

func definitionSchema() openAPI {
	return object("CustomResourceDefinition says that there is a kind of objects.", openAPI{
		"spec": open("What the kind is like.", openAPI{
			"group": str("The group of its API."), "scope": str("Namespaced."), "names": free("Its names."),
			"versions": list("The versions of its API."),
		}),
	})
}
