package kubeapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	clientfeatures "k8s.io/client-go/features"
	clientfeaturestesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

// patience is how long tests wait for what must come.
const patience = time.Minute

// widget returns a Widget of namespace default.
func widget(name string, size int64, app string) Object {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": size}}}
	o.SetAPIVersion("test.dev/v1")
	o.SetKind("Widget")
	o.SetNamespace("default")
	o.SetName(name)
	o.SetLabels(map[string]string{"app": app})
	return o
}

// stream is an open watch.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

// watch opens a watch of Widgets.
func (a *testAPI) watch(t *testing.T, query, accept string) *stream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", a.url+"/apis/test.dev/v1/namespaces/default/widgets?watch=1&"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	r.Header.Set("Accept", accept)
	res, err := a.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %s, %v", res.Status, res.Header)
	}
	return &stream{t, bufio.NewScanner(res.Body)}
}

// next returns the next event: its type, the name, the size and the version of its object.
func (s *stream) next() string {
	s.t.Helper()
	if !s.lines.Scan() {
		return "the end"
	}
	var e struct {
		Type   string
		Object unstructured.Unstructured
	}
	if err := json.Unmarshal(s.lines.Bytes(), &e); err != nil {
		s.t.Fatalf("%s: %v", s.lines.Bytes(), err)
	}
	if e.Type == string(watch.Error) {
		return fmt.Sprint(e.Type, " ", e.Object.Object["code"], " ", e.Object.Object["reason"])
	}
	size, _, _ := unstructured.NestedInt64(e.Object.Object, "spec", "size")
	return fmt.Sprintf("%s %s %d @%s%s", e.Type, e.Object.GetName(), size, e.Object.GetResourceVersion(), e.Object.GetAnnotations()[metav1.InitialEventsAnnotationKey])
}

// expect compares the next events.
func (s *stream) expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if got := s.next(); got != w {
			s.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

// A watch used to begin after the head of its answer, so that a client that then deleted the object, as kn does, waited for
// DELETED in vain.
func TestWatchBeginsBeforeItsAnswer(t *testing.T) {
	a := serveTest(t, Config{})
	for range 200 {
		a.store.Put(widgets.GroupResource(), widget("a", 1, "x"))
		w := a.watch(t, "fieldSelector=metadata.name%3Da&timeoutSeconds=5", "application/json")
		a.store.Delete(widgets.GroupResource(), "default", "a")
		for _, want := range []string{"ADDED a 1", "DELETED a 1"} {
			if got := w.next(); !strings.HasPrefix(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
}

func TestWatch(t *testing.T) {
	a := serveTest(t, Config{}) // with the versions 101 and 102
	put := func(o Object) { a.store.Put(widgets.GroupResource(), o) }
	put(widget("a", 1, "x")) // 103
	put(widget("b", 1, "y"))
	put(widget("b", 2, "x"))
	elsewhere := widget("c", 9, "x")
	elsewhere.SetNamespace("other")
	put(elsewhere)

	all := a.watch(t, "", "application/json")
	all.expect("ADDED a 1 @103", "ADDED b 2 @105")
	since := a.watch(t, "resourceVersion=103", "application/json")
	since.expect("ADDED b 1 @104", "MODIFIED b 2 @105")
	selected := a.watch(t, "labelSelector=app%3Dx&resourceVersion=103", "application/json")
	selected.expect("ADDED b 2 @105")
	named := a.watch(t, "fieldSelector=metadata.name%3Db&resourceVersion=0", "application/json")
	named.expect("ADDED b 2 @105")
	initial := a.watch(t, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=103", "application/json")
	initial.expect("ADDED a 1 @103", "ADDED b 2 @105", "BOOKMARK  0 @106true")
	without := a.watch(t, "sendInitialEvents=false&resourceVersionMatch=NotOlderThan", "application/json")
	tables := a.watch(t, "", "application/json;as=Table;g=meta.k8s.io;v=v1")
	for _, columns := range []int{1, 0} {
		if !tables.lines.Scan() {
			t.Fatal("no table")
		}
		var e struct{ Object metav1.Table }
		if err := json.Unmarshal(tables.lines.Bytes(), &e); err != nil || len(e.Object.ColumnDefinitions) != columns || len(e.Object.Rows) != 1 {
			t.Errorf("got %s, %v", tables.lines.Bytes(), err)
		}
	}

	put(widget("a", 2, "y")) // 107
	a.store.Put(configMaps.GroupResource(), parse(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default"}}`))
	put(widget("a", 3, "y"))
	a.store.Delete(widgets.GroupResource(), "default", "b")
	put(widget("a", 3, "x"))
	for _, s := range []*stream{all, since, initial, without} {
		s.expect("MODIFIED a 2 @107", "MODIFIED a 3 @109", "DELETED b 2 @110", "MODIFIED a 3 @111")
	}
	selected.expect("DELETED a 1 @107", "DELETED b 2 @110", "ADDED a 3 @111")
	named.expect("DELETED b 2 @110")
}

func TestWatchEnds(t *testing.T) {
	a := serveTest(t, Config{})
	a.watch(t, "timeoutSeconds=1", "application/json").expect("the end")
	a.watch(t, "timeoutSeconds=1&allowWatchBookmarks=1&resourceVersion=101", "application/json").expect("BOOKMARK  0 @102", "the end")
	for _, version := range []string{"1", "99", "103", "100000"} {
		a.watch(t, "resourceVersion="+version, "application/json").expect("ERROR 410 Expired", "the end")
	}
}

// A client that doesn't read neither stops the writer nor holds what it hasn't read: an event says that it has lost changes.
func TestSlowWatcherExpires(t *testing.T) {
	a := serveTest(t, Config{})
	slow := a.watch(t, "", "application/json")
	text := strings.Repeat("x", 10<<10)
	for i := range int64(8000) { // more than the buffers of the connection take, and then more than the history has
		o := widget("a", i, "x")
		o.SetAnnotations(map[string]string{"a": text})
		a.store.Put(widgets.GroupResource(), o)
	}
	slow.lines.Buffer(nil, 1<<20)
	for last := ""; ; {
		got := slow.next()
		if strings.HasPrefix(got, "ERROR") {
			if got != "ERROR 410 Expired" {
				t.Errorf("got %s", got)
			}
			break
		}
		if got == "the end" || strings.HasSuffix(got, "@8102") {
			t.Fatalf("%s after %s", got, last)
		}
		last = got
	}
	slow.expect("the end")
}

// breaker breaks connections.
type breaker struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (b *breaker) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		b.mu.Lock()
		b.conns = append(b.conns, c)
		b.mu.Unlock()
	}
	return c, err
}

// breakAll breaks all connections, with what is on its way.
func (b *breaker) breakAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
}

// breakable returns a client whose connections can be broken.
func breakable(t *testing.T, s *Server, addr string) (dynamic.Interface, *breaker) {
	t.Helper()
	b := &breaker{}
	config := restConfig(t, s, addr)
	config.Dial, config.QPS = b.dial, -1
	d, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.breakAll)
	return d, b
}

// A watcher that begins again at the last version that it has seen gets every change once and in order, whatever breaks.
func TestNoEventIsMissed(t *testing.T) {
	objects := store.New(0)
	s, addr := start(t, Config{Store: objects, Resources: testObjects()})
	d, breaker := breakable(t, s, addr)
	w, err := toolswatch.NewRetryWatcherWithContext(t.Context(), "1", &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return d.Resource(widgets).Watch(ctx, o)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { w.Stop(); <-w.Done() }()

	objects.Put(namespaces.GroupResource(), parse(t, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"default"}}`))
	var want []string
	random := rand.New(rand.NewPCG(1, 2))
	known := map[string]bool{}
	for i := range int64(3000) {
		name := strconv.Itoa(random.IntN(20))
		var o Object
		kind := watch.Added
		switch {
		case known[name] && random.IntN(3) == 0:
			o, kind = objects.Delete(widgets.GroupResource(), "default", name), watch.Deleted
			known[name] = false
		default:
			o = objects.Put(widgets.GroupResource(), widget(name, i, "x"))
			if known[name] {
				kind = watch.Modified
			}
			known[name] = true
		}
		want = append(want, fmt.Sprint(kind, name, o.GetResourceVersion()))
		if random.IntN(300) == 0 {
			breaker.breakAll()
		}
		// The watcher must not fall behind the history, which it would report.
		for len(want) > 0 && (len(want) > 500 || i == 2999) {
			select {
			case e := <-w.ResultChan():
				o, ok := e.Object.(*unstructured.Unstructured)
				if !ok {
					t.Fatalf("got %v", e)
				}
				if got := fmt.Sprint(e.Type, o.GetName(), o.GetResourceVersion()); got != want[0] {
					t.Fatalf("got %s, want %s", got, want[0])
				}
				want = want[1:]
			case <-time.After(patience):
				t.Fatalf("no event for %v; want %s", patience, want[0])
			}
		}
	}
}

// Informers know what the store has after thousands of changes, broken connections and an expired history.
func TestInformers(t *testing.T) {
	for _, watchList := range []bool{false, true} {
		t.Run(fmt.Sprintf("WatchList=%v", watchList), func(t *testing.T) {
			clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.WatchListClient, watchList)
			objects := store.New(0)
			s, addr := start(t, Config{Store: objects, Resources: testObjects()})
			d, breaker := breakable(t, s, addr)
			informers := dynamicinformer.NewFilteredDynamicSharedInformerFactory(d, 0, "", func(o *metav1.ListOptions) { o.LabelSelector = "app=x" })
			informer := informers.ForResource(widgets).Informer()
			var mu sync.Mutex
			seen := map[string]string{} // versions by names, by the events
			version := func(o any) (name, version string) {
				if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
					o = gone.Obj
				}
				return o.(Object).GetName(), o.(Object).GetResourceVersion()
			}
			changed := func(o any, added bool) {
				mu.Lock()
				defer mu.Unlock()
				name, v := version(o)
				if _, known := seen[name]; known == added {
					t.Errorf("%s@%s: added %v, known %v", name, v, added, known)
				}
				seen[name] = v
			}
			if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc:    func(o any) { changed(o, true) },
				UpdateFunc: func(_, o any) { changed(o, false) },
				DeleteFunc: func(o any) {
					mu.Lock()
					defer mu.Unlock()
					name, _ := version(o)
					if _, known := seen[name]; !known {
						t.Errorf("%s is deleted and unknown", name)
					}
					delete(seen, name)
				},
			}); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			informers.Start(stop)
			defer func() { close(stop); breaker.breakAll(); informers.Shutdown() }()
			if !cache.WaitForCacheSync(stop, informer.HasSynced) {
				t.Fatal("not synced")
			}

			random := rand.New(rand.NewPCG(3, 4))
			for i := range int64(6000) {
				name := strconv.Itoa(random.IntN(50))
				switch random.IntN(5) {
				case 0:
					objects.Delete(widgets.GroupResource(), "default", name)
				case 1: // the selector doesn't match
					objects.Put(widgets.GroupResource(), widget(name, i, "y"))
				default:
					objects.Put(widgets.GroupResource(), widget(name, i, "x"))
				}
				switch random.IntN(1500) {
				case 0:
					breaker.breakAll()
				case 1: // the history expires while the client is away
					breaker.breakAll()
					for j := range int64(3000) {
						objects.Put(configMaps.GroupResource(), parse(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"default"},"data":{"a":"%d"}}`, j)))
					}
				}
				if i%50 == 0 {
					time.Sleep(time.Millisecond) // changes come while the client reads, not all before
				}
			}

			want := map[string]string{}
			list, _ := objects.List(widgets.GroupResource(), "")
			for _, o := range list {
				if o.GetLabels()["app"] == "x" {
					want[o.GetName()] = o.GetResourceVersion()
				}
			}
			for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				mu.Lock()
				same := maps.Equal(seen, want)
				mu.Unlock()
				if same {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the informer has seen %v, want %v", seen, want)
				}
			}
			if cached := len(informer.GetStore().List()); cached != len(want) {
				t.Errorf("%d objects are cached, want %d", cached, len(want))
			}
		})
	}
}
