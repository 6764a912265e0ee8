// Package store keeps the objects of the quickstart's Kubernetes API: the newest version of each, and the latest changes for
// those who watch.
//
// # Concurrency
//
// A Store is safe for concurrent use. Objects in it are never changed: change a DeepCopy and Put that. A writer that depends
// on what is stored has to exclude other writers: the quickstart writes on one goroutine.
//
// A watcher is a loop around Since and owns nothing here, so that none can block a writer or be forgotten: one that is too
// slow finds that the changes that it needs are gone.
package store

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// What is kept of the latest changes: a number of them, of which a start of a replica makes some 20, and the sizes of their
// objects in bytes. 8 MiB are some 2000 of the quickstart's own objects, but few ConfigMaps of the largest size.
const (
	historySize  = 2048
	historyBytes = 8 << 20
)

// Object is an object of Kubernetes, as decoded from JSON.
type Object = *unstructured.Unstructured

// Store has the objects of all resources.
type Store struct {
	mu      sync.RWMutex
	objects map[schema.GroupResource]map[key]Object
	start   uint64 // the version before the first change that is kept
	version uint64 // of the latest change
	history []Change
	bytes   int           // of history
	changed chan struct{} // closed at the next change; nil: nobody waits
}

type key struct{ namespace, name string }

// Change is a change of an object: Old is nil if it is new, New is nil if it has been deleted.
type Change struct {
	Resource schema.GroupResource
	Old, New Object
	Version  uint64

	size int // of New, and some bytes
}

// Last returns Old with the resourceVersion of the change, as in an event that says that the object is gone.
func (c Change) Last() Object { return withVersion(c.Old, c.Version) }

// New returns an empty Store whose first change gets a resourceVersion above version.
func New(version uint64) *Store { return newStore(version, historySize) }

func newStore(version uint64, size int) *Store {
	return &Store{objects: map[schema.GroupResource]map[key]Object{}, start: version, version: version, history: make([]Change, size)}
}

// Get returns an object; nil: there is none. Namespace is "" for resources without namespaces.
func (s *Store) Get(r schema.GroupResource, namespace, name string) Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.objects[r][key{namespace, name}]
}

// List returns the objects of a namespace, or of all with "", sorted by namespace and name, and the version that they are of.
func (s *Store) List(r schema.GroupResource, namespace string) (list []Object, version uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var keys []key
	for k := range s.objects[r] {
		if namespace == "" || namespace == k.namespace {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name)) })
	for _, k := range keys {
		list = append(list, s.objects[r][k])
	}
	return list, s.version
}

// Put stores o, with a resourceVersion, and returns it as stored. If o equals what is stored but for the resourceVersion,
// nothing changes. The Store owns o from then on.
func (s *Store) Put(r schema.GroupResource, o Object) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{o.GetNamespace(), o.GetName()}
	old := s.objects[r][k]
	if old != nil {
		if o = withVersionString(o, old.GetResourceVersion()); reflect.DeepEqual(o.Object, old.Object) {
			return old
		}
	}
	o = withVersion(o, s.version+1)
	if s.objects[r] == nil {
		s.objects[r] = map[key]Object{}
	}
	s.objects[r][k] = o
	s.recordLocked(Change{Resource: r, Old: old, New: o, Version: s.version + 1})
	return o
}

// Delete removes an object and returns its last version, with the resourceVersion of the deletion; nil: there was none.
func (s *Store) Delete(r schema.GroupResource, namespace, name string) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{namespace, name}
	old := s.objects[r][k]
	if old == nil {
		return nil
	}
	delete(s.objects[r], k)
	c := Change{Resource: r, Old: old, Version: s.version + 1}
	s.recordLocked(c)
	return c.Last()
}

func (s *Store) recordLocked(c Change) {
	c.size = changeSize
	if c.New != nil {
		c.size += sizeOf(c.New.Object)
	}
	size := uint64(len(s.history))
	if c.Version-s.start > size {
		s.forgetLocked()
	}
	s.version = c.Version
	s.history[c.Version%size] = c
	for s.bytes += c.size; s.bytes > historyBytes && s.start+1 < s.version; {
		s.forgetLocked()
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// forgetLocked forgets the oldest change.
func (s *Store) forgetLocked() {
	s.start++
	oldest := &s.history[s.start%uint64(len(s.history))]
	s.bytes -= oldest.size
	*oldest = Change{}
}

// changeSize is the size of a change without its object, and of a value in an object, roughly.
const changeSize, valueSize = 64, 16

// sizeOf returns how many bytes v, as decoded from JSON, takes at least.
func sizeOf(v any) int {
	size := valueSize
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			size += valueSize + len(key) + sizeOf(item)
		}
	case []any:
		for _, item := range v {
			size += sizeOf(item)
		}
	case string:
		size += len(v)
	}
	return size
}

// Version returns the resourceVersion of the latest change.
func (s *Store) Version() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.version
}

// Since returns the changes of a resource after version up to now, and a channel that is closed at the next change of any
// resource. ok is false if some of them are no longer known, or version isn't one yet.
func (s *Store) Since(r schema.GroupResource, version uint64) (changes []Change, now uint64, next <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := uint64(len(s.history))
	if version < s.start || version > s.version {
		return nil, s.version, nil, false
	}
	for v := version + 1; v <= s.version; v++ {
		if c := s.history[v%size]; c.Resource == r {
			changes = append(changes, c)
		}
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return changes, s.version, s.changed, true
}

// withVersion returns o with a resourceVersion. It copies as much as that changes: o may be in use.
func withVersion(o Object, version uint64) Object {
	return withVersionString(o, strconv.FormatUint(version, 10))
}

func withVersionString(o Object, version string) Object {
	top := maps.Clone(o.Object)
	metadata, _ := top["metadata"].(map[string]any)
	if metadata = maps.Clone(metadata); metadata == nil {
		metadata = map[string]any{}
	}
	metadata["resourceVersion"] = version
	top["metadata"] = metadata
	return &unstructured.Unstructured{Object: top}
}

// Prepare fills in the metadata of next that an API server sets: uid, creationTimestamp and generation, which is higher by one
// than that of old if anything but metadata and status differs. Old is nil for a new object, whose metadata stays if it is
// set: it was made before. Objects without a spec, such as ConfigMaps, have no generation.
func Prepare(old, next Object) {
	_, hasSpec := next.Object["spec"]
	if old == nil {
		if next.GetUID() == "" {
			next.SetUID(NewUID())
		}
		if t := next.GetCreationTimestamp(); t.IsZero() {
			next.SetCreationTimestamp(metav1.NewTime(time.Now()))
		}
		if hasSpec && next.GetGeneration() == 0 {
			next.SetGeneration(1)
		}
		return
	}
	next.SetUID(old.GetUID())
	next.SetCreationTimestamp(old.GetCreationTimestamp())
	generation := old.GetGeneration()
	if (hasSpec || generation != 0) && !reflect.DeepEqual(desired(old), desired(next)) {
		generation++
	}
	next.SetGeneration(generation) // 0 removes it
}

// desired is the part of an object that is not metadata and status.
func desired(o Object) map[string]any {
	d := maps.Clone(o.Object)
	delete(d, "metadata")
	delete(d, "status")
	return d
}

// NewUID returns a random UUID (RFC 9562, version 4).
func NewUID() types.UID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
