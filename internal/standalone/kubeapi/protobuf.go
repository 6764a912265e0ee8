package kubeapi

import (
	"bytes"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Typed clients send the kinds of Kubernetes itself as protobuf: kubectl create configmap does. They get JSON.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding-idl
const protobuf = runtime.ContentTypeProtobuf

var protobufPrefix = []byte("k8s\x00")

// Message is an object that can be decoded from protobuf.
type Message interface{ Unmarshal(message []byte) error }

// unmarshal decodes a body with a message of type kind into to.
func unmarshal(body []byte, kind string, to Message) error {
	var envelope runtime.Unknown
	message, ok := bytes.CutPrefix(body, protobufPrefix)
	if !ok {
		return apierrors.NewBadRequest("the body should be Kubernetes' protobuf, which begins with k8s")
	}
	err := envelope.Unmarshal(message)
	if err == nil && envelope.Kind != "" && envelope.Kind != kind {
		err = fmt.Errorf("it is a %s", envelope.Kind)
	}
	if err == nil {
		err = to.Unmarshal(envelope.Raw)
	}
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("the body can't be decoded to %s: %v", kind, err))
	}
	return nil
}

// message returns a new Message for objects of r; nil: they are not sent as protobuf.
func (r *Resource) message() Message {
	if _, ok := r.Patch.(Message); !ok {
		return nil
	}
	return reflect.New(reflect.TypeOf(r.Patch).Elem()).Interface().(Message)
}

// decodeProtobuf decodes an object of c's resource.
func (c *change) decodeProtobuf(body []byte) (Object, error) {
	m := c.resource.message()
	if err := unmarshal(body, c.resource.Kind, m); err != nil {
		return nil, err
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(m)
	if err != nil {
		return nil, c.undecodable(err)
	}
	o := &unstructured.Unstructured{Object: object}
	o.SetGroupVersionKind(c.resource.GroupVersion().WithKind(c.resource.Kind))
	return o, nil
}
