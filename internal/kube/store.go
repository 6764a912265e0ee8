package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
)

// state has what stores put there.
type state interface {
	put(kind, item)
	remove(kind, name)
	replace(kind, []item)
}

// store is where a reflector puts objects of a kind. It passes on what read makes of them.
type store struct {
	kind kind
	read func(obj any) item // nil: not of this kind
	into state
}

var _ cache.TransformingStore = (*store)(nil)

// item makes one of an object, which is one already when it has been in a list.
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

// Delete implements cache.ReflectorStore. What the object was at last doesn't matter.
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

// Resync implements cache.ReflectorStore. The table tells of each change; lists, not repetition, mend what was missed.
func (s *store) Resync() error { return nil }

// Transformer implements cache.TransformingStore: of a list that comes as a watch, items are held, not objects.
func (s *store) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return s.item(obj) }
}
