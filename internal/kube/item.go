package kube

import (
	"slices"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/throttler"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// name identifies an object among those of its kind.
type name struct{ namespace, name string }

func (n name) at() name { return n }

// GetObjectMeta implements metav1.ObjectMetaAccessor, which reflectors need for the items of a list.
func (n name) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: n.namespace, Name: n.name}
}

// item is the part of an object that is stored. It is immutable.
type item interface {
	metav1.ObjectMetaAccessor
	at() name
}

// revision is a Revision; its ID is its name.
type revision struct {
	name
	activator.Revision
}

// service is the private Service of a revision.
type service struct {
	name
	of        throttler.RevisionID
	clusterIP string // empty when there is none
}

// list is an EndpointSlice or an Endpoints: some or all pods of a revision, or the activators in a public Service.
type list struct {
	name
	of        throttler.RevisionID
	public    bool
	endpoints []endpoint
}

type endpoint struct {
	activator.Endpoint // if it is an activator, Addr is its IP
	ready              bool
}

func same(a, b item) bool {
	switch a := a.(type) {
	case *revision:
		b, ok := b.(*revision)
		return ok && *a == *b
	case *service:
		b, ok := b.(*service)
		return ok && *a == *b
	case *list:
		b, ok := b.(*list)
		return ok && a.name == b.name && a.of == b.of && a.public == b.public && slices.Equal(a.endpoints, b.endpoints)
	}
	return false
}
