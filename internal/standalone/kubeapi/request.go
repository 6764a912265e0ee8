package kubeapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// request is what the method and the path of an HTTP request ask for.
type request struct {
	verb            string // get, list, watch, create, update, patch, delete or deletecollection
	resource        *Resource
	namespace, name string // "": all namespaces, or the resource has none; all objects
	subresource     string // log, of pods, or ""
}

// subresources of a resource that are served, besides those without a name.
func subresources(r *Resource) []string {
	if !r.unserved && r.Group == "" && r.Resource == "pods" {
		return []string{"log"}
	}
	return nil
}

// verbs of a resource that are served.
func verbs(r *Resource) []string {
	if r.unserved {
		return []string{}
	}
	all := append([]string{"get", "list", "watch"}, r.Writes...)
	if slices.Contains(r.Writes, "delete") && r.GroupResource() != namespacesResource { // as in Kubernetes
		all = append(all, "deletecollection")
	}
	return all
}

// parse returns the request of a path below /api/ or /apis/; its error is a Status. The paths are those of "Resource URIs" in
// Kubernetes' API concepts, without the old ones that begin with watch/.
func (s *Server) parse(r *http.Request) (request, error) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var gv schema.GroupVersion
	switch {
	case parts[0] == "api" && len(parts) > 2:
		gv.Version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		gv.Group, gv.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return request{}, notServed(schema.GroupResource{}, "path "+r.URL.Path)
	}
	if slices.Contains(parts, "") {
		return request{}, notServed(schema.GroupResource{}, "path "+r.URL.Path)
	}

	var q request
	// The object of a namespace has the path of a namespace's resources, without a resource.
	if parts[0] == "namespaces" && len(parts) > 2 {
		q.namespace, parts = parts[1], parts[2:]
	}
	q.resource = s.resources[gv.WithResource(parts[0])]
	if q.resource == nil || q.namespace != "" && !q.resource.Namespaced {
		return request{}, notServed(gv.WithResource(parts[0]).GroupResource(), fmt.Sprintf("resource %s of %s", parts[0], gv))
	}
	if parts = parts[1:]; len(parts) > 0 {
		q.name, parts = parts[0], parts[1:]
	}
	group := q.resource.GroupResource()
	q.subresource = strings.Join(parts, "/")
	if q.subresource != "" && !slices.Contains(subresources(q.resource), q.subresource) {
		return request{}, notServed(group, fmt.Sprintf("subresource %s/%s of %s", group.Resource, q.subresource, gv))
	}
	if q.name != "" && q.namespace == "" && q.resource.Namespaced {
		return request{}, notServed(group, "path "+r.URL.Path+", which names no namespace,")
	}

	var err error
	q.verb, err = verb(r, q)
	return q, err
}

// verb returns the verb of a request. Which verbs the resource has is for [Server.serve] to check.
func verb(r *http.Request, q request) (string, error) {
	one := q.name != ""
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if one {
			return "get", nil
		}
		var watch bool
		values := r.URL.Query()["watch"]
		if err := runtime.Convert_Slice_string_To_bool(&values, &watch, nil); err != nil {
			return "", apierrors.NewBadRequest("watch: " + err.Error())
		}
		if watch {
			return "watch", nil
		}
		return "list", nil
	case http.MethodPost:
		if !one && (q.namespace != "" || !q.resource.Namespaced) {
			return "create", nil
		}
	case http.MethodPut:
		if one {
			return "update", nil
		}
	case http.MethodPatch:
		if one {
			return "patch", nil
		}
	case http.MethodDelete:
		if one {
			return "delete", nil
		}
		return "deletecollection", nil
	}
	return "", apierrors.NewMethodNotSupported(q.resource.GroupResource(), r.Method+" "+r.URL.Path)
}

// notServed returns the error for something that a cluster may have, and this API doesn't.
func notServed(r schema.GroupResource, what string) error {
	err := apierrors.NewNotFound(r, "")
	err.ErrStatus.Message = what + " is not served by the quickstart"
	return err
}
