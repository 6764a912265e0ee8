package objects

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

// Definitions returns the CustomResourceDefinitions of Knative's kinds, as far as clients look at them: kn asks them which sources there are,
// which have a label (knative.dev/eventing/config/core/resources).
func Definitions() []Item {
	var all []Item
	for _, k := range Kinds() {
		if !strings.HasSuffix(k.Group, ".knative.dev") {
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
				"versions": []any{map[string]any{"name": k.Version, "served": true, "storage": true}},
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
