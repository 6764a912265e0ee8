package kubeapi

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// serve serves a request for objects.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, q request) {
	serve := s.write
	switch {
	case q.subresource == "log":
		serve = s.logs
	case q.verb == "get":
		serve = s.get
	case q.verb == "list":
		serve = s.list
	case q.verb == "watch":
		serve = s.watch
	}
	if err := serve(w, r, q); err != nil {
		writeStatus(w, r, err)
	}
}

// get serves one object.
func (s *Server) get(w http.ResponseWriter, r *http.Request, q request) error {
	f, err := negotiate(r)
	if err != nil {
		return err
	}
	if _, err := s.versionOf(r.URL.Query().Get("resourceVersion")); err != nil {
		return err
	}
	o := s.config.Store.Get(q.resource.GroupResource(), q.namespace, q.name)
	if o == nil {
		return apierrors.NewNotFound(q.resource.GroupResource(), q.name)
	}
	writeJSON(w, r, http.StatusOK, f.object(q.resource, o))
	return nil
}

// list serves all objects that are selected, whatever its limit.
func (s *Server) list(w http.ResponseWriter, r *http.Request, q request) error {
	f, err := negotiate(r)
	if err != nil {
		return err
	}
	o, err := listOptions(r)
	if err != nil {
		return err
	}
	if o.Continue != "" {
		return apierrors.NewBadRequest("continue key is not valid: lists are always complete here")
	}
	wanted, err := s.versionOf(o.ResourceVersion)
	if err != nil {
		return err
	}
	selected, err := newSelection(q, o)
	if err != nil {
		return err
	}
	items, version := s.selected(selected)
	if o.ResourceVersionMatch == metav1.ResourceVersionMatchExact && wanted != version {
		return apierrors.NewResourceExpired(fmt.Sprintf("The provided resource version is too old: it is %d now, not %d.", version, wanted))
	}
	writeJSON(w, r, http.StatusOK, f.list(q.resource, items, metav1.ListMeta{ResourceVersion: strconv.FormatUint(version, 10)}))
	return nil
}

// listOptions returns the options of a list or a watch; its error is a Status.
func listOptions(r *http.Request) (*internalversion.ListOptions, error) {
	var sent metav1.ListOptions
	query := r.URL.Query()
	if err := metav1.Convert_url_Values_To_v1_ListOptions(&query, &sent, nil); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	o := &internalversion.ListOptions{}
	if err := internalversion.Convert_v1_ListOptions_To_internalversion_ListOptions(&sent, o, nil); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return o, invalidOptions("ListOptions", validation.ValidateListOptions(o, true))
}

// invalidOptions returns the Status for errors in the options of a request; nil if there are none.
func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

// versionOf parses a resourceVersion that the answer has to have or exceed; "" is 0: any version does. Its error is a Status.
func (s *Server) versionOf(version string) (uint64, error) {
	if version == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(field.Invalid(field.NewPath("resourceVersion"), version, err.Error()).Error())
	}
	if now := s.config.Store.Version(); n > now {
		// Clients take this cause for a server that has lost its past, and list without a version.
		err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", n, now), 1)
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
		return 0, err
	}
	return n, nil
}

// selection is which objects a list, a watch or a deletecollection is about.
type selection struct {
	resource  *Resource
	namespace string // "": all
	labels    labels.Selector
	fields    fields.Selector
}

// eventFields and podFields are the fields of core resources, besides name and namespace, that selectors may have: those that
// clients use, of the ones in a cluster.
var (
	eventFields = []string{
		"involvedObject.apiVersion", "involvedObject.fieldPath", "involvedObject.kind", "involvedObject.name", "involvedObject.namespace",
		"involvedObject.resourceVersion", "involvedObject.uid", "reason", "reportingComponent", "source", "type",
	}
	podFields = []string{"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"}
)

// newSelection returns what a request selects; its error is a Status.
func newSelection(q request, o *internalversion.ListOptions) (selection, error) {
	known := []string{"metadata.name", "metadata.namespace"}
	switch q.resource.GroupResource() {
	case schema.GroupResource{Resource: "events"}:
		known = append(known, eventFields...)
	case schema.GroupResource{Resource: "pods"}:
		known = append(known, podFields...)
	}
	for _, requirement := range o.FieldSelector.Requirements() {
		if !slices.Contains(known, requirement.Field) {
			return selection{}, apierrors.NewBadRequest(fmt.Sprintf("%q is not a known field selector: only \"%s\"", requirement.Field, strings.Join(known, `", "`)))
		}
	}
	return selection{q.resource, q.namespace, o.LabelSelector, o.FieldSelector}, nil
}

// matches reports whether o is selected.
func (s selection) matches(o Object) bool {
	return o != nil && (s.namespace == "" || s.namespace == o.GetNamespace()) &&
		s.labels.Matches(labels.Set(o.GetLabels())) && s.fields.Matches(fieldsOf{o})
}

// fieldsOf are the fields of an object for a selector, which asks for known ones.
type fieldsOf struct{ object Object }

// Has implements [fields.Fields].
func (f fieldsOf) Has(name string) bool { return f.Get(name) != "" }

// Get implements [fields.Fields].
func (f fieldsOf) Get(name string) string {
	if name == "source" { // the one whose selector isn't its path
		name = "source.component"
	}
	value, _, _ := unstructured.NestedString(f.object.Object, strings.Split(name, ".")...)
	return value
}

// selected returns the selected objects, and the version that they are of.
func (s *Server) selected(wanted selection) ([]Object, uint64) {
	all, version := s.config.Store.List(wanted.resource.GroupResource(), wanted.namespace)
	return slices.DeleteFunc(all, func(o Object) bool { return !wanted.matches(o) }), version
}
