package store

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"
)

var (
	widgets = schema.GroupResource{Group: "test.dev", Resource: "widgets"}
	gadgets = schema.GroupResource{Group: "test.dev", Resource: "gadgets"}
)

func object(namespace, name string, size int64) Object {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": size}}}
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func size(o Object) int64 {
	n, _, _ := unstructured.NestedInt64(o.Object, "spec", "size")
	return n
}

// sizes are those of objects, by namespace and name.
func sizes(list []Object) map[string]int64 {
	m := map[string]int64{}
	for _, o := range list {
		m[o.GetNamespace()+"/"+o.GetName()] = size(o)
	}
	return m
}

// follower is a watcher: what it knows, and the version that it knows it of.
type follower struct {
	version uint64
	sizes   map[string]int64
}

// follow applies the changes since the last time; it lists again if some are gone.
func (f *follower) follow(t interface{ Fatalf(string, ...any) }, s *Store) (next <-chan struct{}) {
	changes, now, next, ok := s.Since(widgets, f.version)
	if !ok {
		list, version := s.List(widgets, "")
		f.version, f.sizes = version, sizes(list)
		return f.follow(t, s)
	}
	for _, c := range changes {
		if c.Version <= f.version || c.Resource != widgets {
			t.Fatalf("a change of %v at %d after %d", c.Resource, c.Version, f.version)
		}
		f.version = c.Version
		version := strconv.FormatUint(c.Version, 10)
		last := c.New
		if last == nil {
			last = c.Last()
		}
		if last.GetResourceVersion() != version {
			t.Fatalf("the change at %s has resourceVersion %s", version, last.GetResourceVersion())
		}
		k := last.GetNamespace() + "/" + last.GetName()
		if before, known := f.sizes[k]; known != (c.Old != nil) || known && before != size(c.Old) {
			t.Fatalf("the change of %s at %s says that it was %v, and it was %d, %v", k, version, c.Old, before, known)
		}
		if c.New == nil {
			delete(f.sizes, k)
		} else {
			f.sizes[k] = size(c.New)
		}
	}
	f.version = now
	return next
}

func TestStoreIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint64Range(0, 1<<40).Draw(t, "start")
		const history = 8
		s, model, version := newStore(start, history), map[string]int64{}, start
		followers := []*follower{{version: start, sizes: map[string]int64{}}, {version: start, sizes: map[string]int64{}}}
		key := func(t *rapid.T) (namespace, name string) {
			return rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name")
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				namespace, name := key(t)
				n := rapid.Int64Range(0, 2).Draw(t, "size")
				o := object(namespace, name, n)
				o.SetResourceVersion(rapid.SampledFrom([]string{"", "7"}).Draw(t, "resourceVersion"))
				if before, known := model[namespace+"/"+name]; !known || before != n {
					version++
				}
				model[namespace+"/"+name] = n
				if got := s.Put(widgets, o); size(got) != n || !reflect.DeepEqual(got, s.Get(widgets, namespace, name)) {
					t.Fatalf("put %v, got %v", o, got)
				}
			},
			"delete": func(t *rapid.T) {
				namespace, name := key(t)
				_, known := model[namespace+"/"+name]
				delete(model, namespace+"/"+name)
				if known {
					version++
				}
				if got := s.Delete(widgets, namespace, name); (got != nil) != known || known && got.GetResourceVersion() != strconv.FormatUint(version, 10) {
					t.Fatalf("deleted %v, known %v", got, known)
				}
			},
			"another resource": func(t *rapid.T) {
				version++
				s.Put(gadgets, object("a", "x", int64(version)))
			},
			"follow": func(t *rapid.T) {
				f := rapid.SampledFrom(followers).Draw(t, "follower")
				known := version-f.version <= history
				if _, _, _, ok := s.Since(widgets, f.version); ok != known {
					t.Fatalf("the changes from %d to %d are known: %v", f.version, version, ok)
				}
				f.follow(t, s)
				if !maps.Equal(f.sizes, model) {
					t.Fatalf("a watcher has %v instead of %v", f.sizes, model)
				}
			},
			"": func(t *rapid.T) {
				list, at := s.List(widgets, "")
				if at != version || s.Version() != version || !maps.Equal(sizes(list), model) {
					t.Fatalf("version %d has %v, expected %d, %v", at, sizes(list), version, model)
				}
				if !slices.IsSortedFunc(list, func(a, b Object) int {
					return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
				}) {
					t.Fatalf("not sorted: %v", list)
				}
				inA, _ := s.List(widgets, "a")
				for k := range sizes(inA) {
					if !strings.HasPrefix(k, "a/") {
						t.Fatalf("%s in namespace a", k)
					}
				}
				if _, _, _, ok := s.Since(widgets, version+1); ok {
					t.Fatalf("version %d isn't yet", version+1)
				}
			},
		})
	})
}

func TestPutWithoutAChangeKeepsTheVersion(t *testing.T) {
	s := New(5)
	first := s.Put(widgets, object("a", "x", 1))
	_, _, next, _ := s.Since(widgets, s.Version())
	if again := s.Put(widgets, object("a", "x", 1)); again != first || again.GetResourceVersion() != "6" {
		t.Errorf("%v became %v", first, again)
	}
	select {
	case <-next:
		t.Error("a watcher was woken")
	default:
	}
	s.Put(gadgets, object("a", "x", 1))
	<-next
}

// Stored objects may be in use while they are put again.
func TestPutDoesNotChangeItsArgument(t *testing.T) {
	s := New(0)
	o := s.Put(widgets, object("a", "x", 1))
	s.Put(widgets, object("a", "x", 2))
	if back := s.Put(widgets, o); o.GetResourceVersion() != "1" || back.GetResourceVersion() != "3" || size(back) != 1 {
		t.Errorf("%v, put back as %v", o, back)
	}
}

// With -race: watchers read what others write, and none misses a change or stops the writer.
func TestWatchersWhileOthersWrite(t *testing.T) {
	s := newStore(0, 64)
	var watchers sync.WaitGroup
	for range 4 {
		watchers.Go(func() {
			f := &follower{sizes: map[string]int64{}}
			for next := f.follow(t, s); f.sizes["a/end"] == 0; next = f.follow(t, s) {
				<-next
			}
			list, _ := s.List(widgets, "")
			if !maps.Equal(f.sizes, sizes(list)) {
				t.Errorf("a watcher has %v instead of %v", f.sizes, sizes(list))
			}
		})
	}
	for i := range int64(5000) {
		name := strconv.FormatInt(i%7, 10)
		if i%3 == 2 {
			s.Delete(widgets, "a", name)
		} else {
			s.Put(widgets, object("a", name, i))
		}
	}
	s.Put(widgets, object("a", "end", 1))
	watchers.Wait()
}

func TestPrepare(t *testing.T) {
	o := object("a", "x", 1)
	Prepare(nil, o)
	if created := o.GetCreationTimestamp(); len(o.GetUID()) != 36 || created.IsZero() || o.GetGeneration() != 1 {
		t.Fatalf("new: %v", o)
	}
	other := object("a", "x", 1)
	if Prepare(nil, other); other.GetUID() == o.GetUID() {
		t.Error("two objects have one uid")
	}

	next := o.DeepCopy()
	next.SetUID("mine")
	next.SetGeneration(8)
	next.SetLabels(map[string]string{"a": "b"})
	next.Object["status"] = map[string]any{"ready": true}
	if Prepare(o, next); next.GetUID() != o.GetUID() || next.GetGeneration() != 1 {
		t.Errorf("metadata and status: %v", next)
	}
	changed := object("a", "x", 2)
	if Prepare(o, changed); changed.GetGeneration() != 2 || changed.GetCreationTimestamp() != o.GetCreationTimestamp() {
		t.Errorf("spec: %v", changed)
	}

	restored := o.DeepCopy()
	restored.SetGeneration(4)
	if Prepare(nil, restored); restored.GetUID() != o.GetUID() || restored.GetGeneration() != 4 {
		t.Errorf("restored: %v", restored)
	}

	configMap := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"a": "b"}}}
	Prepare(nil, configMap)
	later := configMap.DeepCopy()
	later.Object["data"] = map[string]any{"a": "c"}
	if Prepare(configMap, later); configMap.GetGeneration() != 0 || later.GetGeneration() != 0 {
		t.Errorf("without a spec: %v, %v", configMap, later)
	}
}

// Old versions of large objects must not fill the memory; the latest change is always known.
func TestHistoryOfLargeObjects(t *testing.T) {
	s := New(0)
	put := func(n, bytes int) {
		o := object("a", "x", int64(n))
		o.SetAnnotations(map[string]string{"text": strings.Repeat("x", bytes)})
		s.Put(widgets, o)
	}
	const size = historyBytes / 8
	for n := range 20 {
		put(n, size)
	}
	for version, known := range map[uint64]bool{0: false, 12: false, 14: true, 19: true, 20: true} {
		if changes, _, _, ok := s.Since(widgets, version); ok != known || ok && len(changes) != 20-int(version) {
			t.Errorf("the changes since %d of 20: %d, %v", version, len(changes), ok)
		}
	}
	put(20, 2*historyBytes)
	if changes, _, _, ok := s.Since(widgets, 20); !ok || len(changes) != 1 {
		t.Error("the latest change is gone")
	}
	for n := range 3000 {
		put(n, 0)
	}
	if changes, _, _, ok := s.Since(widgets, s.Version()-historySize); !ok || len(changes) != historySize {
		t.Error("small changes are gone")
	}
}
