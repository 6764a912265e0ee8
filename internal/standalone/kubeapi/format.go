package kubeapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// format is the form in which a client wants objects: themselves, as a Table or as PartialObjectMetadata. See "Alternate
// representations of resources" in Kubernetes' API concepts. Watches change it, so each request has its own.
type format struct {
	kind       string // Table, PartialObjectMetadata, or "" for the objects themselves
	apiVersion string // of kind
	include    metav1.IncludeObjectPolicy
	noColumns  bool // of a Table; the client has them already
}

// accepted is an element of an Accept header.
type accepted struct {
	mediaType string
	params    map[string]string
	quality   float64
}

// accepts returns what the client accepts, the best first.
func accepts(r *http.Request) []accepted {
	var all []accepted
	for element := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		mediaType, params, err := mime.ParseMediaType(element)
		if err != nil {
			continue
		}
		a := accepted{mediaType, params, 1}
		if q, ok := params["q"]; ok {
			a.quality, err = strconv.ParseFloat(q, 64)
			delete(params, "q")
		}
		if err == nil && a.quality > 0 {
			all = append(all, a)
		}
	}
	if len(r.Header.Values("Accept")) == 0 {
		all = append(all, accepted{mediaType: "*/*"})
	}
	slices.SortStableFunc(all, func(a, b accepted) int { return cmp.Compare(b.quality, a.quality) })
	return all
}

// json reports whether JSON is accepted.
func (a accepted) json() bool {
	return slices.Contains([]string{"application/json", "application/*", "*/*"}, a.mediaType)
}

// negotiate returns the format of the best of the forms that r accepts and that are served; its error is a Status.
func negotiate(r *http.Request) (*format, error) {
	for _, a := range accepts(r) {
		if !a.json() {
			continue
		}
		if a.params["as"] == "" {
			return &format{}, nil
		}
		f := &format{
			kind:       strings.TrimSuffix(a.params["as"], "List"),
			apiVersion: a.params["g"] + "/" + a.params["v"],
			include:    metav1.IncludeObjectPolicy(r.URL.Query().Get("includeObject")),
		}
		if f.kind != "Table" && f.kind != "PartialObjectMetadata" || f.apiVersion != "meta.k8s.io/v1" && f.apiVersion != "meta.k8s.io/v1beta1" {
			continue
		}
		if f.kind == "Table" && !slices.Contains([]metav1.IncludeObjectPolicy{"", metav1.IncludeNone, metav1.IncludeMetadata, metav1.IncludeObject}, f.include) {
			return nil, apierrors.NewBadRequest("includeObject: " + string(f.include) + ": it has to be None, Metadata or Object")
		}
		return f, nil
	}
	return nil, notAcceptable("application/json, alone or with as=Table, as=PartialObjectMetadata or as=PartialObjectMetadataList of meta.k8s.io/v1")
}

// notAcceptable returns the error for a request that accepts no form that is served.
func notAcceptable(served string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotAcceptable,
		Reason:  metav1.StatusReasonNotAcceptable,
		Message: "Accept: only the following is served: " + served,
	}}
}

// object returns o in this format.
func (f *format) object(r *Resource, o Object) any {
	switch f.kind {
	case "Table":
		return f.table(r, []Object{o}, metav1.ListMeta{ResourceVersion: o.GetResourceVersion()})
	case "PartialObjectMetadata":
		return f.metadata(o)
	}
	return r.shown(o)
}

// event returns the object of an event of a watch in this format. Only the first Table of a watch has columns.
func (f *format) event(r *Resource, o Object) any {
	v := f.object(r, o)
	f.noColumns = true
	return v
}

// list returns a list in this format.
func (f *format) list(r *Resource, items []Object, m metav1.ListMeta) any {
	switch f.kind {
	case "Table":
		return f.table(r, items, m)
	case "PartialObjectMetadata":
		list := metav1.PartialObjectMetadataList{ListMeta: m, Items: []metav1.PartialObjectMetadata{}}
		list.Kind, list.APIVersion = "PartialObjectMetadataList", f.apiVersion
		for _, o := range items {
			list.Items = append(list.Items, *f.metadata(o))
		}
		return list
	}
	list := objectList{ListMeta: m, Items: []Object{}} // clients expect [], not null
	list.Kind, list.APIVersion = r.Kind+"List", r.GroupVersion().String()
	for _, o := range items {
		list.Items = append(list.Items, r.shown(o))
	}
	return list
}

// objectList is a list of objects.
type objectList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []Object `json:"items"`
}

// metadata returns the metadata of o.
func (f *format) metadata(o *unstructured.Unstructured) *metav1.PartialObjectMetadata {
	p := meta.AsPartialObjectMetadata(o)
	p.Kind, p.APIVersion = "PartialObjectMetadata", f.apiVersion
	return p
}

// writeJSON writes a response, on several lines if the client wants it pretty. Its Content-Type may be set already.
func writeJSON(w http.ResponseWriter, r *http.Request, code int, v any) {
	data, err := json.Marshal(v)
	if pretty, _ := strconv.ParseBool(r.URL.Query().Get("pretty")); pretty {
		data, err = json.MarshalIndent(v, "", "  ")
	}
	if err != nil {
		panic(err) // all types come from decoded JSON
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n'))
}

// writeStatus answers with err: an [apierrors.APIStatus], that of a body that is too large, or an internal error.
func writeStatus(w http.ResponseWriter, r *http.Request, err error) {
	var known apierrors.APIStatus
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
	case errors.As(err, &tooLarge):
		known = apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the limit is %d bytes", tooLarge.Limit))
	default:
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	if status.Code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110 §15.5.2
	}
	writeJSON(w, r, int(status.Code), status)
}
