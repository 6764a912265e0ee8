// Package store keeps the objects of the quickstart's Kubernetes API: the newest version of each, and the latest changes for
// those who watch.
//
// # Concurrency
//
// A Store is safe for concurrent use. Objects in it are never changed: change a DeepCopy and Put that. A writer that depends
// on what is stored has to exclude other writers: the quickstart writes on one goroutine.
package store

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is an object of Kubernetes, as decoded from JSON.
type Object = *unstructured.Unstructured

// Store has the objects of all resources.
type Store struct{}

// New returns an empty Store whose first change gets a resourceVersion above version.
func New(version uint64) *Store { return &Store{} }

// Get returns an object; nil: there is none. Namespace is "" for resources without namespaces.
func (s *Store) Get(r schema.GroupResource, namespace, name string) Object { panic("later") }

// List returns the objects of a namespace, or of all with "", sorted by namespace and name, and the version that they are of.
func (s *Store) List(r schema.GroupResource, namespace string) (list []Object, version uint64) {
	panic("later")
}

// Put stores o, with a resourceVersion, and returns it as stored. If o equals what is stored but for the resourceVersion,
// nothing changes.
func (s *Store) Put(r schema.GroupResource, o Object) Object { panic("later") }

// Delete removes an object and returns its last version, with the resourceVersion of the deletion; nil: there was none.
func (s *Store) Delete(r schema.GroupResource, namespace, name string) Object { panic("later") }

// Version returns the resourceVersion of the latest change.
func (s *Store) Version() uint64 { panic("later") }

// Prepare fills in the metadata of next that an API server sets: uid, creationTimestamp and generation, which is higher by one
// than that of old if anything but metadata and status differs. Old is nil for a new object.
func Prepare(old, next Object) { panic("later") }
