package kubeapi

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// The version of Kubernetes whose API this is, in its parts; see k8s.io/apimachinery in go.mod.
const (
	major = "1"
	minor = "36"
)

// group is an API group.
type group struct {
	name     string // "": the core group
	versions []groupVersion
}

// groupVersion is a version of a group. The first one of a group is the preferred one.
type groupVersion struct {
	schema.GroupVersion
	resources []*Resource
}

// groupsOf returns the groups of resources, in their order.
func groupsOf(resources []*Resource) []group {
	var all []group
	for _, r := range resources {
		g := slices.IndexFunc(all, func(g group) bool { return g.name == r.Group })
		if g < 0 {
			g, all = len(all), append(all, group{name: r.Group})
		}
		versions := all[g].versions
		v := slices.IndexFunc(versions, func(v groupVersion) bool { return v.Version == r.Version })
		if v < 0 {
			v, versions = len(versions), append(versions, groupVersion{GroupVersion: r.GroupVersion()})
		}
		versions[v].resources = append(versions[v].resources, r)
		all[g].versions = versions
	}
	return all
}

// serveDiscovery serves /version, and what there is below /api and /apis; false: path is none of those.
func (s *Server) serveDiscovery(w http.ResponseWriter, r *http.Request, path string) (found bool, err error) {
	var document any
	switch {
	case path == "/version":
		document = s.version()
	case path == "/api" || path == "/apis":
		return true, s.serveGroups(w, r, path == "/api")
	default:
		if document = s.document(path); document == nil {
			return false, nil
		}
	}
	return true, writeDocument(w, r, document)
}

// writeDocument answers a request for a document that can only be read.
func writeDocument(w http.ResponseWriter, r *http.Request, document any) error {
	if err := readOnly(r); err != nil {
		return err
	}
	if !slices.ContainsFunc(accepts(r), func(a accepted) bool { return a.json() && a.params["as"] == "" }) {
		return notAcceptable("application/json")
	}
	writeJSON(w, r, http.StatusOK, document)
	return nil
}

// readOnly returns an error if r would change something.
func readOnly(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		err := apierrors.NewMethodNotSupported(schema.GroupResource{}, r.Method)
		err.ErrStatus.Message = r.Method + " " + r.URL.Path + ": this can only be read, with GET"
		return err
	}
	return nil
}

// document returns the description of a group or a version, at /apis/GROUP, /api/VERSION or /apis/GROUP/VERSION; nil: it isn't
// served.
func (s *Server) document(path string) any {
	for _, g := range s.groups {
		if g.name != "" && path == "/apis/"+g.name {
			d := describe(g)
			d.Kind, d.APIVersion = "APIGroup", "v1"
			return d
		}
		for _, v := range g.versions {
			if path == pathOf(v.GroupVersion) {
				return resourceList(v)
			}
		}
	}
	return nil
}

// pathOf returns the path of a version of a group.
func pathOf(v schema.GroupVersion) string {
	if v.Group == "" {
		return "/api/" + v.Version
	}
	return "/apis/" + v.Group + "/" + v.Version
}

// describe returns the description of a group.
func describe(g group) metav1.APIGroup {
	d := metav1.APIGroup{Name: g.name}
	for _, v := range g.versions {
		d.Versions = append(d.Versions, metav1.GroupVersionForDiscovery{GroupVersion: v.String(), Version: v.Version})
	}
	d.PreferredVersion = d.Versions[0]
	return d
}

// resourceList returns the description of the resources of a version.
func resourceList(v groupVersion) metav1.APIResourceList {
	list := metav1.APIResourceList{GroupVersion: v.String()}
	list.Kind, list.APIVersion = "APIResourceList", "v1"
	for _, r := range v.resources {
		d := metav1.APIResource{
			Name: r.Resource, SingularName: r.Singular, Namespaced: r.Namespaced, Kind: r.Kind,
			Verbs: verbs(r), ShortNames: r.ShortNames, Categories: r.Categories,
		}
		list.APIResources = append(list.APIResources, d)
		for _, sub := range subresources(r) {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: r.Resource + "/" + sub, Namespaced: r.Namespaced, Kind: r.Kind, Verbs: metav1.Verbs{"get"},
			})
		}
	}
	return list
}

// serveGroups serves /api, the core group's versions, and /apis, the other groups; both also in the aggregated form, which has
// the resources of all groups.
func (s *Server) serveGroups(w http.ResponseWriter, r *http.Request, core bool) error {
	if err := readOnly(r); err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	groups := slices.DeleteFunc(slices.Clone(s.groups), func(g group) bool { return (g.name == "") != core })
	for _, a := range accepts(r) {
		v := a.params["v"]
		switch {
		case !a.json():
		case a.params["as"] == "" && core:
			d := metav1.APIVersions{Versions: []string{}, ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{}}
			d.Kind, d.APIVersion = "APIVersions", "v1"
			for _, g := range groups {
				for _, v := range g.versions {
					d.Versions = append(d.Versions, v.Version)
				}
			}
			writeJSON(w, r, http.StatusOK, d)
			return nil
		case a.params["as"] == "":
			d := metav1.APIGroupList{Groups: []metav1.APIGroup{}}
			d.Kind, d.APIVersion = "APIGroupList", "v1"
			for _, g := range groups {
				d.Groups = append(d.Groups, describe(g))
			}
			writeJSON(w, r, http.StatusOK, d)
			return nil
		case a.params["as"] == "APIGroupDiscoveryList" && a.params["g"] == "apidiscovery.k8s.io" && (v == "v2" || v == "v2beta1"):
			// Clients tell the form by the Content-Type.
			w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v="+v+";as=APIGroupDiscoveryList")
			writeJSON(w, r, http.StatusOK, aggregated(groups, v))
			return nil
		}
	}
	return notAcceptable("application/json, alone or with as=APIGroupDiscoveryList of apidiscovery.k8s.io/v2")
}

// aggregated returns the description of groups as apidiscovery.k8s.io has it; k8s.io/api would be large to link.
func aggregated(groups []group, version string) map[string]any {
	items := []any{}
	for _, g := range groups {
		var versions []any
		for _, v := range g.versions {
			var resources []any
			for _, r := range v.resources {
				kind := map[string]any{"group": r.Group, "version": r.Version, "kind": r.Kind}
				scope := "Cluster"
				if r.Namespaced {
					scope = "Namespaced"
				}
				d := map[string]any{
					"resource": r.Resource, "responseKind": kind, "scope": scope, "singularResource": r.Singular,
					"verbs": verbs(r), "shortNames": r.ShortNames, "categories": r.Categories,
				}
				var subs []any
				for _, sub := range subresources(r) {
					subs = append(subs, map[string]any{"subresource": sub, "responseKind": kind, "verbs": []string{"get"}})
				}
				if subs != nil {
					d["subresources"] = subs
				}
				resources = append(resources, d)
			}
			versions = append(versions, map[string]any{"version": v.Version, "resources": resources, "freshness": "Current"})
		}
		items = append(items, map[string]any{"metadata": map[string]any{"name": g.name}, "versions": versions})
	}
	return map[string]any{
		"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/" + version, "metadata": map[string]any{}, "items": items,
	}
}

// version returns the version of Kubernetes whose API this is; the quickstart's is behind a +, as semantic versions have it.
func (s *Server) version() version.Info {
	build := strings.FieldsFunc("sluice "+s.config.Version, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return version.Info{
		Major: major, Minor: minor, GitVersion: "v" + major + "." + minor + ".0+" + strings.Join(build, "."),
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}
