package kubeapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	serializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// change is a write that a client asks for, read and checked as far as that goes without the object as it is.
type change struct {
	request
	creates         bool // there may be no object yet
	dryRun          bool
	force           bool // of an apply: fields of other managers are taken over
	manager         string
	fieldValidation string
	warnings        []string
	// edit returns the new object; nil: it is to be deleted. Before is nil if there is none, and isn't changed.
	edit func(before Object) (Object, error)
}

// newChange reads a write; its errors are Statuses.
func newChange(r *http.Request, q request) (*change, error) {
	c := &change{request: q}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") == "" {
		mediaType, err = "application/json", nil
	}
	if err != nil {
		return nil, apierrors.NewBadRequest("Content-Type: " + err.Error())
	}
	body, err := io.ReadAll(r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, err // writeStatus says so
	} else if err != nil {
		return nil, apierrors.NewBadRequest("the body can't be read: " + err.Error())
	}
	switch q.verb {
	case "create", "update":
		if err := c.readOptions(r, ""); err != nil {
			return nil, err
		}
		o, err := c.decode(body, mediaType)
		if err != nil {
			return nil, err
		}
		if q.verb == "create" {
			return c, c.create(o)
		}
		return c, c.update(o)
	case "patch":
		if err := c.readOptions(r, types.PatchType(mediaType)); err != nil {
			return nil, err
		}
		return c, c.patch(body, types.PatchType(mediaType))
	default:
		return c, c.delete(body, mediaType, r.URL.Query())
	}
}

// readOptions reads the options of a create, an update or a patch, of which those of a patch are all.
func (c *change) readOptions(r *http.Request, patch types.PatchType) error {
	var o metav1.PatchOptions
	query := r.URL.Query()
	if err := metav1.Convert_url_Values_To_v1_PatchOptions(&query, &o, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	kind := strings.ToUpper(c.verb[:1]) + c.verb[1:] + "Options"
	if err := invalidOptions(kind, validation.ValidatePatchOptions(&o, patch)); err != nil {
		return err
	}
	c.dryRun, c.force = len(o.DryRun) > 0, o.Force != nil && *o.Force
	if c.fieldValidation = o.FieldValidation; c.fieldValidation == "" {
		c.fieldValidation = metav1.FieldValidationWarn
	}
	if c.manager = o.FieldManager; c.manager == "" {
		c.manager = managerOf(r.UserAgent())
	}
	return nil
}

// managerOf returns the field manager of a client that names none: its program.
func managerOf(userAgent string) string {
	name, _, _ := strings.Cut(userAgent, "/")
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	return strings.ToValidUTF8(name[:min(len(name), validation.FieldManagerMaxLength)], "")
}

// unsupported returns the error for a Content-Type that isn't one of known.
func unsupported(known ...string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusUnsupportedMediaType,
		Reason:  metav1.StatusReasonUnsupportedMediaType,
		Message: "the body of the request was in an unknown format - accepted media types include: " + strings.Join(known, ", "),
	}}
}

// decode decodes an object of c's resource.
func (c *change) decode(body []byte, mediaType string) (Object, error) {
	if mediaType == protobuf && c.resource.message() != nil {
		return c.decodeProtobuf(body)
	}
	if mediaType != "application/json" && mediaType != "application/yaml" {
		return nil, unsupported("application/json", "application/yaml")
	}
	o := &unstructured.Unstructured{}
	scheme := runtime.NewScheme()
	decoder := serializer.NewSerializerWithOptions(serializer.DefaultMetaFactory, scheme, scheme, serializer.SerializerOptions{Yaml: mediaType == "application/yaml", Strict: true})
	_, _, err := decoder.Decode(body, nil, o)
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		err = c.strict(strict.Errors())
	} else if err != nil {
		err = c.undecodable(err)
	}
	if err == nil {
		err = checkDepth(o.Object)
	}
	if err != nil {
		return nil, err
	}
	return o, c.checkType(o)
}

// maxDepth bounds how deep objects and patches are nested, which the time of what applies patches and tracks fields grows
// with the square of. Pods have some 15 levels.
const maxDepth = 100

// checkDepth returns an error if v, as decoded from JSON, is nested too deep.
func checkDepth(v any) error {
	if deeper(v, maxDepth) {
		return apierrors.NewBadRequest(fmt.Sprintf("the object or the patch is nested too deep: at most %d levels are allowed", maxDepth))
	}
	return nil
}

// deeper reports whether v has more than levels of mappings and lists.
func deeper(v any, levels int) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			if levels == 0 || deeper(item, levels-1) {
				return true
			}
		}
	case []any:
		return levels == 0 && len(v) > 0 || slices.ContainsFunc(v, func(item any) bool { return deeper(item, levels-1) })
	}
	return false
}

// undecodable returns the error for an object that isn't one of c's resource.
func (c *change) undecodable(err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", c.resource.Kind, c.resource.Version, c.resource.Kind, err))
}

// strict does with unknown and repeated fields what fieldValidation says.
func (c *change) strict(errs []error) error {
	switch {
	case len(errs) == 0 || c.fieldValidation == metav1.FieldValidationIgnore:
	case c.fieldValidation == metav1.FieldValidationStrict:
		return c.undecodable(runtime.NewStrictDecodingError(errs))
	default:
		for _, err := range errs {
			c.warnings = append(c.warnings, err.Error())
		}
	}
	return nil
}

// checkType returns an error unless o is of c's resource, and brings its metadata into its form: there and in the status
// are fields that clients don't set.
func (c *change) checkType(o Object) error {
	gvk := c.resource.GroupVersion().WithKind(c.resource.Kind)
	if v := o.GetAPIVersion(); v != gvk.GroupVersion().String() {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)", v, gvk.GroupVersion()))
	}
	if k := o.GetKind(); k != gvk.Kind {
		return apierrors.NewBadRequest(fmt.Sprintf("the kind in the data (%s) does not match the expected kind (%s)", k, gvk.Kind))
	}
	if o.Object["metadata"] == nil {
		o.Object["metadata"] = map[string]any{}
	}
	var typed struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	sent := map[string]any{"metadata": o.Object["metadata"]}
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(sent, &typed, true)
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		err = c.strict(strict.Errors())
	} else if err != nil {
		// The converter doesn't say which field it is.
		if text, failed := json.Marshal(sent); failed == nil {
			err = cmp.Or(json.Unmarshal(text, &typed), err)
		}
		err = c.undecodable(err)
	}
	if err != nil {
		return err
	}
	metadata, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&typed)
	if err != nil {
		return c.undecodable(err)
	}
	o.Object["metadata"] = metadata["metadata"]
	return nil
}

// checkName returns an error unless o has the name and the namespace of the path. A missing namespace is filled in.
func (c *change) checkName(o Object) error {
	switch name, namespace := o.GetName(), o.GetNamespace(); {
	case name == "":
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s based on URL) was undeterminable: name must be provided", c.name))
	case name != c.name:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", name, c.name))
	case namespace != "" && namespace != c.namespace:
		return apierrors.NewBadRequest(fmt.Sprintf("the namespace of the object (%s) does not match the namespace on the request (%s)", namespace, c.namespace))
	}
	o.SetNamespace(c.namespace)
	return nil
}

// generated is how many random characters follow a generateName, of at most 63 characters in all, as in Kubernetes.
const generated = 5

// create makes c the creation of o.
func (c *change) create(o Object) error {
	if namespace := o.GetNamespace(); namespace != "" && namespace != c.namespace {
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	o.SetNamespace(c.namespace)
	if base := o.GetGenerateName(); base != "" && o.GetName() == "" {
		o.SetName(base[:min(len(base), 63-generated)] + rand.String(generated))
	}
	c.name, c.creates = o.GetName(), true
	c.edit = func(before Object) (Object, error) {
		if before != nil {
			return nil, apierrors.NewAlreadyExists(c.resource.GroupResource(), c.name)
		}
		return c.complete(nil, o, c.owned)
	}
	return nil
}

// update makes c the replacement of an object with o.
func (c *change) update(o Object) error {
	if err := c.checkName(o); err != nil {
		return err
	}
	c.edit = func(before Object) (Object, error) {
		if before == nil {
			return nil, apierrors.NewNotFound(c.resource.GroupResource(), c.name)
		}
		if o.GetResourceVersion() == "" && c.resource.Patch == nil { // as for custom resources
			return nil, c.invalid(field.ErrorList{field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update")})
		}
		return c.complete(before, o, c.owned)
	}
	return nil
}

// invalid returns the error for faults of the object.
func (c *change) invalid(errs field.ErrorList) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: c.resource.Group, Kind: c.resource.Kind}, c.name, errs)
}

// complete returns next with the metadata and the status that clients can't set, as track has tracked its fields. Next is of
// the type of c's resource.
func (c *change) complete(before, next Object, track func(before, next Object) (Object, error)) (Object, error) {
	if err := cmp.Or(checkDepth(next.Object), c.checkVersions(before, next)); err != nil {
		return nil, err
	}
	for _, name := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"} {
		carry(before, next, "metadata", name)
	}
	carry(before, next, "status")
	next, err := track(before, next)
	if err != nil {
		return nil, err
	}
	metadata := field.NewPath("metadata")
	errs := apivalidation.ValidateObjectMetaAccessor(next, c.resource.Namespaced, apivalidation.NameIsDNSSubdomain, metadata)
	if before != nil {
		errs = apivalidation.ValidateObjectMetaAccessorUpdate(next, before, metadata)
	}
	if len(errs) > 0 {
		return nil, c.invalid(errs)
	}
	return next, nil
}

// carry makes a field of next that of before.
func carry(before, next Object, fields ...string) {
	if before != nil {
		if v, ok, err := unstructured.NestedFieldCopy(before.Object, fields...); ok && err == nil {
			_ = unstructured.SetNestedField(next.Object, v, fields...)
			return
		}
	}
	unstructured.RemoveNestedField(next.Object, fields...)
}

// checkVersions returns an error if the client has changed another version or another object of the name.
func (c *change) checkVersions(before, next Object) error {
	version, uid := next.GetResourceVersion(), next.GetUID()
	switch {
	case before == nil && version != "":
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	case before == nil:
	case version != "" && version != before.GetResourceVersion():
		return c.conflict(errors.New("the object has been modified; please apply your changes to the latest version and try again"))
	case uid != "" && uid != before.GetUID():
		return c.preconditionFailed("UID", uid, before.GetUID())
	}
	return nil
}

func (c *change) conflict(err error) error {
	return apierrors.NewConflict(c.resource.GroupResource(), c.name, err)
}

func (c *change) preconditionFailed(what string, wanted, present any) error {
	message := fmt.Sprintf("Precondition failed: %s in precondition: %v, %[1]s in object meta: %[3]v", what, wanted, present)
	return c.conflict(errors.New(message))
}

// delete makes c a deletion. Objects end at once here, and what is made from them with them.
func (c *change) delete(body []byte, mediaType string, query url.Values) error {
	var o metav1.DeleteOptions
	if len(body) == 0 {
		if err := metav1.Convert_url_Values_To_v1_DeleteOptions(&query, &o, nil); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	} else if mediaType == protobuf {
		if err := unmarshal(body, "DeleteOptions", &o); err != nil {
			return err
		}
	} else {
		if mediaType != "application/json" && mediaType != "application/yaml" {
			return unsupported("application/json", "application/yaml", protobuf)
		}
		if err := yaml.Unmarshal(body, &o); err != nil {
			return apierrors.NewBadRequest("DeleteOptions: " + err.Error())
		}
		if o.Kind != "" && o.Kind != "DeleteOptions" {
			return apierrors.NewBadRequest(fmt.Sprintf("decoded object cannot be converted to DeleteOptions: it is a %s", o.Kind))
		}
	}
	if err := invalidOptions("DeleteOptions", validation.ValidateDeleteOptions(&o)); err != nil {
		return err
	}
	c.dryRun = len(o.DryRun) > 0
	c.edit = func(before Object) (Object, error) {
		if before == nil {
			return nil, apierrors.NewNotFound(c.resource.GroupResource(), c.name)
		}
		if p := o.Preconditions; p != nil {
			if p.UID != nil && *p.UID != before.GetUID() {
				return nil, c.preconditionFailed("UID", *p.UID, before.GetUID())
			}
			if p.ResourceVersion != nil && *p.ResourceVersion != before.GetResourceVersion() {
				return nil, c.preconditionFailed("ResourceVersion", *p.ResourceVersion, before.GetResourceVersion())
			}
		}
		return nil, nil
	}
	return nil
}
