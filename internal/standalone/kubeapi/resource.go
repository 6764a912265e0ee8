package kubeapi

import (
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is an object of Kubernetes, as decoded from JSON.
type Object = *unstructured.Unstructured

// Resource is a kind of objects that the API serves: for reading, and as far as Writes says for writing.
type Resource struct {
	schema.GroupVersionResource
	// Stored is the version in which the store has the objects, if that isn't Version: the one of another Resource of the same name,
	// whose objects have the same fields.
	Stored     string
	Kind       string
	Singular   string
	ShortNames []string
	Categories []string // such as all, which kubectl get takes for names of resources
	Namespaced bool
	// Columns are all of kubectl get's, in order: those of the name and the age are among them, if the kind has them. Required.
	Columns []Column
	// Schema is the OpenAPI v3 schema of an object, as decoded from JSON; nil: any object.
	Schema map[string]any
	// Patch is a pointer to a struct with the tags of a strategic merge patch; nil: there is none for this resource, as for
	// custom resources. If it is a Message, clients may send objects as protobuf.
	Patch any
	// Writes are create, update, patch and delete, or some of them.
	Writes []string
	// ReadOnly is why the other verbs are refused, and what to do instead: "it is made from its Service: change that".
	ReadOnly string
	// Admit checks a write and completes its object. Required with Writes. It is called on the goroutine of Config.Do.
	Admit func(Write) (Admission, error)

	unserved bool // only discovery has it: see known
}

// shown returns an object of the store in the version of r; nil stays nil.
func (r *Resource) shown(o Object) Object { return r.in(r.Version, o) }

// stored returns an object of r in the version in which it is stored; nil stays nil.
func (r *Resource) stored(o Object) Object { return r.in(r.Stored, o) }

// in returns o, or if r isn't the stored version a copy of it in the given version, which shares all else with it.
func (r *Resource) in(version string, o Object) Object {
	if o == nil || r.Stored == "" {
		return o
	}
	c := &unstructured.Unstructured{Object: maps.Clone(o.Object)}
	c.SetAPIVersion(schema.GroupVersion{Group: r.Group, Version: version}.String())
	return c
}

// Write is a request that changes an object.
type Write struct {
	Resource *Resource
	Old, New Object // nil: there was none; it is deleted. New has the metadata that store.Prepare sets.
	DryRun   bool
}

// Admission is an admitted Write.
type Admission struct {
	// Object is what to store: New with defaults, and without unknown fields. Nil: it is deleted.
	Object Object
	// Unknown are New's unknown fields: an error, warnings or nothing, as the client has chosen (fieldValidation). Unlike the
	// rest they count beside an error of Admit, too: what is missing may only have the wrong name.
	Unknown []error
	// Warnings go to the client, a line each, also with a dry run.
	Warnings []string
	// Commit puts the change into effect, after the object has been stored; not called with a dry run. May be nil.
	Commit func()
}

// Column is one of kubectl get's.
type Column struct {
	Name        string
	Type        string // string, integer or date
	Format      string // name: it is the object's
	Priority    int32  // 1: only with -o wide
	Description string
	// Value returns a string, an int64 or a nil, which is shown as nothing.
	Value func(Object) any
}
