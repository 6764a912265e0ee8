package clients

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/features"
	featuretesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"knative.dev/serving/pkg/client/clientset/versioned"
	knativeinformers "knative.dev/serving/pkg/client/informers/externalversions"
)

// network is that of the informers. It breaks their connections now and then, and counts their lists.
type network struct {
	mu    sync.Mutex
	conns []net.Conn
	cuts  int
	lists map[string]int // by the last part of the path; a watch that begins with a list counts
}

// counting is a transport that counts lists.
type counting struct {
	http.RoundTripper
	in *network
}

// RoundTrip implements [http.RoundTripper].
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if query := r.URL.Query(); query.Get("watch") == "" || query.Get("sendInitialEvents") == "true" {
		c.in.mu.Lock()
		c.in.lists[path.Base(r.URL.Path)]++
		c.in.mu.Unlock()
	}
	return c.RoundTripper.RoundTrip(r)
}

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		n.mu.Lock()
		n.conns = append(n.conns, conn)
		n.mu.Unlock()
	}
	return conn, err
}

func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.conns {
		conn.Close()
		n.cuts++
	}
	n.conns = nil
}

// happening is what an informer said about an object.
type happening struct {
	what    string // added, updated, deleted
	uid     types.UID
	version uint64
}

// recorder keeps what an informer says, for each object.
type recorder struct {
	t      *testing.T
	kind   string
	mu     sync.Mutex
	all    map[string][]happening
	missed []string // objects whose deletion was noticed in a list
}

func record(t *testing.T, kind string, i cache.SharedIndexInformer) *recorder {
	t.Helper()
	r := &recorder{t: t, kind: kind, all: map[string][]happening{}}
	if _, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { r.add("added", o) },
		UpdateFunc: func(old, o any) {
			if old.(metav1.Object).GetResourceVersion() != o.(metav1.Object).GetResourceVersion() { // not a resync
				r.add("updated", o)
			}
		},
		DeleteFunc: func(o any) {
			if last, missed := o.(cache.DeletedFinalStateUnknown); missed {
				r.mu.Lock()
				r.missed = append(r.missed, last.Key)
				r.mu.Unlock()
				return
			}
			r.add("deleted", o)
		},
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *recorder) add(what string, object any) {
	o := object.(metav1.Object)
	version, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		r.t.Errorf("%s: %v", r.kind, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := o.GetNamespace() + "/" + o.GetName()
	r.all[key] = append(r.all[key], happening{what, o.GetUID(), version})
}

// sound checks that what was said about each object can be: versions grow, lives begin and end.
func (r *recorder) sound() (changes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.missed) > 0 {
		r.t.Errorf("%s: deletions were missed: %v", r.kind, r.missed)
	}
	for key, all := range r.all {
		changes += len(all)
		var before happening
		for _, h := range all {
			alive := before.what == "added" || before.what == "updated"
			if h.version <= before.version || (h.what == "added") == alive || alive && h.uid != before.uid || h.what == "added" && h.uid == before.uid {
				r.t.Errorf("%s %s: %v after %v", r.kind, key, h, before)
			}
			before = h
		}
	}
	return changes
}

// history is what the writers have done to an object, by the versions that the API returned to them. The version of a
// deletion is 0: the API doesn't return it.
type history struct {
	mu  sync.Mutex
	all map[string][]happening
}

func (h *history) add(what string, o metav1.Object) {
	version := uint64(0)
	if what != "deleted" {
		version, _ = strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := o.GetNamespace() + "/" + o.GetName()
	h.all[key] = append(h.all[key], happening{what, o.GetUID(), version})
}

// in reports what of h the recorder lacks or has in another order. Where others write too, as the status of Services, it may
// have more updates.
func (h *history) in(r *recorder, others bool) (missed []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, want := range h.all {
		got := r.all[key]
		at := 0
		for _, w := range want {
			for at < len(got) && others && !w.is(got[at]) && got[at].what == "updated" {
				at++
			}
			if at == len(got) || !w.is(got[at]) {
				missed = append(missed, fmt.Sprintf("%s %s: %v of %v; got %v", r.kind, key, w, want, got))
				break
			}
			at++
		}
		if rest := got[min(at, len(got)):]; len(rest) > 0 && !others {
			missed = append(missed, fmt.Sprintf("%s %s: %v is too many", r.kind, key, rest))
		}
	}
	return missed
}

func (h happening) is(got happening) bool {
	return h.what == got.what && h.uid == got.uid && (h.what == "deleted" || h.version == got.version)
}

// Informers, with WatchList and without, see each change that other clients make, in order, though their connections break. When
// one breaks before anything has come over it, an informer lists again, and may miss a life that was short. Where that has
// happened only the result counts.
func TestInformers(t *testing.T) {
	q := newQuickstart(t, scalesSoon...)
	for _, list := range []bool{true, false} {
		t.Run(fmt.Sprintf("WatchList %v", list), func(t *testing.T) {
			featuretesting.SetFeatureDuringTest(t, features.WatchListClient, list)
			informed(t, q, cmp.Or(*length, 10*time.Second))
		})
	}
}

func informed(t *testing.T, q *quickstart, length time.Duration) {
	n := &network{lists: map[string]int{}}
	config := q.config()
	config.Dial = n.dial
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return counting{rt, n} })
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	knative, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	coreInformers, knativeInformers := informers.NewSharedInformerFactory(core, time.Second), knativeinformers.NewSharedInformerFactory(knative, 0)
	all := map[string]cache.SharedIndexInformer{
		"configmaps":  coreInformers.Core().V1().ConfigMaps().Informer(),
		"secrets":     coreInformers.Core().V1().Secrets().Informer(),
		"namespaces":  coreInformers.Core().V1().Namespaces().Informer(),
		"pods":        coreInformers.Core().V1().Pods().Informer(),
		"deployments": coreInformers.Apps().V1().Deployments().Informer(),
		"services":    knativeInformers.Serving().V1().Services().Informer(),
		"revisions":   knativeInformers.Serving().V1().Revisions().Informer(),
		"routes":      knativeInformers.Serving().V1().Routes().Informer(),
	}
	recorders := map[string]*recorder{}
	for kind, i := range all {
		recorders[kind] = record(t, kind, i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	coreInformers.Start(ctx.Done())
	knativeInformers.Start(ctx.Done())
	defer func() {
		cancel()
		coreInformers.Shutdown()
		knativeInformers.Shutdown()
		n.cut()
	}()
	for kind, i := range all {
		if !cache.WaitForCacheSync(ctx.Done(), i.HasSynced) {
			t.Fatalf("%s: no sync", kind)
		}
	}

	w := newWriters(t, q)
	w.run(length, n.cut)
	t.Logf("%d changes, %d connections cut", w.changes(), n.cuts)

	// What is left to come comes; then each informer's cache is a list.
	readers := newWriters(t, q) // connections that nobody cuts
	for kind, list := range map[string]func() (runtime.Object, error){
		"configmaps": func() (runtime.Object, error) {
			return readers.core.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{})
		},
		"secrets": func() (runtime.Object, error) {
			return readers.core.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
		},
		"namespaces": func() (runtime.Object, error) {
			return readers.core.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		},
		"pods": func() (runtime.Object, error) { return readers.core.CoreV1().Pods("").List(ctx, metav1.ListOptions{}) },
		"deployments": func() (runtime.Object, error) {
			return readers.core.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
		},
		"services": func() (runtime.Object, error) {
			return readers.knative.ServingV1().Services("").List(ctx, metav1.ListOptions{})
		},
		"revisions": func() (runtime.Object, error) {
			return readers.knative.ServingV1().Revisions("").List(ctx, metav1.ListOptions{})
		},
		"routes": func() (runtime.Object, error) {
			return readers.knative.ServingV1().Routes("").List(ctx, metav1.ListOptions{})
		},
	} {
		var differs string
		for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			if differs = difference(t, all[kind].GetStore(), list); differs == "" {
				break
			}
			if time.Now().After(end) {
				t.Errorf("%s: the informer's cache is not the list: %s", kind, differs)
				break
			}
		}
	}
	seen := 0
	for kind, r := range recorders {
		if n.lists[kind] == 1 {
			seen += r.sound()
		}
	}
	t.Logf("%d changes seen; lists: %v", seen, n.lists)
	for _, h := range []struct {
		kind   string
		of     *history
		others bool
	}{{"configmaps", &w.configMaps, false}, {"services", &w.services, true}} {
		if n.lists[h.kind] > 1 {
			continue
		}
		// A cache may equal the list before its handlers have been called.
		for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			missed := h.of.in(recorders[h.kind], h.others)
			if len(missed) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Errorf("%d objects whose changes were missed, such as %s", len(missed), missed[0])
				break
			}
		}
	}
}

// difference describes how a cache differs from a list; "": not at all.
func difference(t *testing.T, store cache.Store, list func() (runtime.Object, error)) string {
	t.Helper()
	o, err := list()
	if err != nil {
		t.Fatal(err)
	}
	items := reflect.ValueOf(o).Elem().FieldByName("Items")
	for i := range items.Len() {
		want := items.Index(i).Addr().Interface().(runtime.Object)
		key, err := cache.MetaNamespaceKeyFunc(want)
		if err != nil {
			t.Fatal(err)
		}
		cached, there, _ := store.GetByKey(key)
		if !there {
			return key + " is missing"
		}
		got := cached.(runtime.Object).DeepCopyObject()
		for _, o := range []runtime.Object{got, want} {
			o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // which only objects of watches have
		}
		if !apiequality.Semantic.DeepEqual(got, want) {
			return fmt.Sprintf("%s is %+v, in the list %+v", key, got, want)
		}
	}
	if n := len(store.ListKeys()); n != items.Len() {
		return fmt.Sprintf("%d objects instead of %d", n, items.Len())
	}
	return ""
}

// writers are clients that change objects.
type writers struct {
	t                    *testing.T
	core                 *kubernetes.Clientset
	knative              *versioned.Clientset
	configMaps, services history
	port                 int
}

func newWriters(t *testing.T, q *quickstart) *writers {
	t.Helper()
	core, err := kubernetes.NewForConfig(q.config())
	if err != nil {
		t.Fatal(err)
	}
	knative, err := versioned.NewForConfig(q.config())
	if err != nil {
		t.Fatal(err)
	}
	return &writers{
		t: t, core: core, knative: knative, port: q.port,
		configMaps: history{all: map[string][]happening{}}, services: history{all: map[string][]happening{}},
	}
}

func (w *writers) changes() (n int) {
	for _, h := range []*history{&w.configMaps, &w.services} {
		for _, all := range h.all {
			n += len(all)
		}
	}
	return n
}

// run changes objects for a while, and calls disturb now and then.
func (w *writers) run(length time.Duration, disturb func()) {
	ctx, cancel := context.WithTimeout(w.t.Context(), length)
	defer cancel()
	var group sync.WaitGroup
	rest := utilrand.String(4) // of names
	for i := range 4 {
		group.Go(func() { w.configMap(ctx, fmt.Sprintf("settings-%d-%s", i, rest)) })
	}
	for i := range 2 {
		group.Go(func() { w.service(ctx, fmt.Sprintf("app-%d-%s", i, rest)) })
	}
	group.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(2*time.Second + rand.N(length/5)):
				disturb()
			}
		}
	})
	group.Wait()
}

// configMap creates, changes and deletes a ConfigMap, over and over. Nobody else changes it.
func (w *writers) configMap(ctx context.Context, name string) {
	client := w.core.CoreV1().ConfigMaps("default")
	for ctx.Err() == nil {
		o, err := client.Create(w.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"n": "0"}}, metav1.CreateOptions{})
		if err != nil {
			w.t.Error(err)
			return
		}
		w.configMaps.add("added", o)
		for n := range rand.N(20) {
			o.Data["n"] = fmt.Sprint(n + 1)
			if o, err = client.Update(w.t.Context(), o, metav1.UpdateOptions{}); err != nil {
				w.t.Error(err)
				return
			}
			w.configMaps.add("updated", o)
			time.Sleep(rand.N(2 * time.Millisecond)) // a pace at which a computer is still of use to others
		}
		if ctx.Err() != nil { // the last ones stay
			return
		}
		if err := client.Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			w.t.Error(err)
			return
		}
		w.configMaps.add("deleted", o)
	}
}

// sample is Knative's first sample.
func sample(name, target string) *servingv1.Service {
	return &servingv1.Service{
		TypeMeta:   metav1.TypeMeta{Kind: "Service", APIVersion: "serving.knative.dev/v1"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: servingv1.ServiceSpec{ConfigurationSpec: servingv1.ConfigurationSpec{Template: servingv1.RevisionTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"client.knative.dev/user-image": "ghcr.io/knative/helloworld-go:latest"}},
			Spec: servingv1.RevisionSpec{PodSpec: corev1.PodSpec{Containers: []corev1.Container{{
				Image: "ghcr.io/knative/helloworld-go:latest",
				Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
				Env:   []corev1.EnvVar{{Name: "TARGET", Value: target}},
			}}}},
		}}},
	}
}

// service creates, changes and deletes a Service, and sends it a request, so that pods come and go.
func (w *writers) service(ctx context.Context, name string) {
	client := w.knative.ServingV1().Services("default")
	transport := &http.Transport{DisableKeepAlives: true}
	for ctx.Err() == nil {
		o, err := client.Create(w.t.Context(), sample(name, "0"), metav1.CreateOptions{})
		if err != nil {
			w.t.Error(err)
			return
		}
		w.services.add("added", o)
		for n := range rand.N(4) {
			patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/env/0/value","value":"%d"}]`, n+1)
			if o, err = client.Patch(w.t.Context(), name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
				w.t.Error(err)
				return
			}
			w.services.add("updated", o)
			time.Sleep(rand.N(100 * time.Millisecond))
		}
		request, _ := http.NewRequestWithContext(w.t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", w.port), nil)
		request.Host = name + ".default.localhost"
		if resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request); err != nil {
			w.t.Error(err)
		} else {
			resp.Body.Close()
		}
		if ctx.Err() != nil {
			return
		}
		if err := client.Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			w.t.Error(err)
			return
		}
		w.services.add("deleted", o)
	}
}
