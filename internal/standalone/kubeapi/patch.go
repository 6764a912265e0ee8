package kubeapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// maxOperations bounds the operations of a JSON patch, as Kubernetes does.
const maxOperations = 10000

// limitCopies bounds what the copy operations of a JSON patch add: a few can make gigabytes. It is a variable of the library.
var limitCopies = sync.OnceFunc(func() { jsonpatch.AccumulatedCopySizeLimit = maxBody })

// patch makes c the patch of an object.
func (c *change) patch(body []byte, kind types.PatchType) error {
	if kind == types.ApplyYAMLPatchType {
		return c.apply(body)
	}
	var decoded any
	if err := utiljson.Unmarshal(body, &decoded); err != nil {
		return apierrors.NewBadRequest("error decoding patch: " + err.Error())
	}
	if err := checkDepth(decoded); err != nil {
		return err
	}
	switch kind {
	case types.JSONPatchType:
		patch, err := jsonpatch.DecodePatch(body)
		if err != nil {
			return apierrors.NewBadRequest("error decoding patch: " + err.Error())
		}
		if len(patch) > maxOperations {
			return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(patch)))
		}
		limitCopies()
		c.patchJSON(patch.Apply)
	case types.MergePatchType:
		if err := json.Unmarshal(body, &map[string]any{}); err != nil {
			return apierrors.NewBadRequest("error decoding patch: " + err.Error())
		}
		c.patchJSON(func(object []byte) ([]byte, error) { return jsonpatch.MergePatch(object, body) })
	case types.StrategicMergePatchType:
		if c.resource.Patch == nil {
			return unsupported(string(types.JSONPatchType), string(types.MergePatchType), string(types.ApplyYAMLPatchType))
		}
		patch := map[string]any{}
		if err := utiljson.Unmarshal(body, &patch); err != nil {
			return apierrors.NewBadRequest("error decoding patch: " + err.Error())
		}
		c.patchObject(func(object map[string]any) (map[string]any, error) {
			return mergeStrategically(object, patch, c.resource.Patch)
		})
	default:
		return unsupported(string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType))
	}
	return nil
}

// patchJSON makes c the change of an object's JSON by f.
func (c *change) patchJSON(f func([]byte) ([]byte, error)) {
	c.patchObject(func(object map[string]any) (map[string]any, error) {
		before, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		after, err := f(before)
		if err != nil {
			return nil, err
		}
		var patched map[string]any
		return patched, utiljson.Unmarshal(after, &patched)
	})
}

// patchObject makes c the change of an object by f, which may change its argument.
func (c *change) patchObject(f func(map[string]any) (map[string]any, error)) {
	c.edit = func(before Object) (Object, error) {
		if before == nil {
			return nil, apierrors.NewNotFound(c.resource.GroupResource(), c.name)
		}
		patched, err := recovered(f, before.DeepCopy().Object)
		if err != nil {
			refused := apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", "", 0, false)
			refused.ErrStatus.Message += ": " + err.Error()
			return nil, refused
		}
		next := &unstructured.Unstructured{Object: patched}
		if err := c.checkType(next); err != nil {
			return nil, err
		}
		return c.complete(before, next, c.owned)
	}
}

// recovered calls f, whose libraries panic over some patches, such as a replacement of the whole object without a value.
func recovered(f func(map[string]any) (map[string]any, error), object map[string]any) (patched map[string]any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the patch can't be applied: %v", fault)
		}
	}()
	return f(object)
}

// apply makes c a server-side apply.
func (c *change) apply(body []byte) error {
	applied, err := c.decode(body, "application/yaml")
	if err != nil {
		return err
	}
	if err := c.checkName(applied); err != nil {
		return err
	}
	c.creates = true
	c.edit = func(before Object) (Object, error) {
		if err := c.checkVersions(before, applied); err != nil {
			return nil, err
		}
		// What a client can't set isn't its own.
		unstructured.RemoveNestedField(applied.Object, "status")
		for _, name := range []string{"uid", "resourceVersion"} {
			unstructured.RemoveNestedField(applied.Object, "metadata", name)
		}
		merged, err := c.merged(before, applied)
		if err != nil {
			return nil, err
		}
		return c.complete(before, merged, func(_, next Object) (Object, error) { return next, nil })
	}
	return nil
}
