package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
)

// state keeps the items of stores.
type state interface {
	put(kind, item)
	remove(kind, name)
	replace(kind, []item)
}

// store receives the objects of a kind from a reflector, and puts what read makes of them into a state.
type store struct {
	kind kind
	read func(obj any) item // returns nil for an object of another kind
	into state
}

var _ cache.TransformingStore = (*store)(nil)

// item makes an item of an object. An object of a list is an item already (see Transformer).
func (s *store) item(obj any) (item, error) {
	if it, ok := obj.(item); ok {
		return it, nil
	}
	if it := s.read(obj); it != nil {
		return it, nil
	}
	return nil, fmt.Errorf("unexpected %T", obj)
}

// Add implements cache.ReflectorStore.
func (s *store) Add(obj any) error {
	it, err := s.item(obj)
	if err == nil {
		s.into.put(s.kind, it)
	}
	return err
}

// Update implements cache.ReflectorStore.
func (s *store) Update(obj any) error { return s.Add(obj) }

// Delete implements cache.ReflectorStore. It needs only the object's name.
func (s *store) Delete(obj any) error {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	m, err := meta.Accessor(obj)
	if err == nil {
		s.into.remove(s.kind, name{m.GetNamespace(), m.GetName()})
	}
	return err
}

// Replace implements cache.ReflectorStore.
func (s *store) Replace(objs []any, _ string) error {
	all := make([]item, len(objs))
	for i, obj := range objs {
		it, err := s.item(obj)
		if err != nil {
			return err
		}
		all[i] = it
	}
	s.into.replace(s.kind, all)
	return nil
}

// Resync implements cache.ReflectorStore. It has nothing to do: every change is published, and lists correct the table.
func (s *store) Resync() error { return nil }

// Transformer implements cache.TransformingStore: while a list is streamed, its items are held instead of its objects.
func (s *store) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.item(obj) }
}
