package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// object is a Kubernetes object, or a part of one, in JSON.
type object map[string]any

func (o object) meta() object         { return o["metadata"].(object) }
func (o object) text(k string) string { s, _ := o[k].(string); return s }
func (o object) key() string          { return o.meta().text("namespace") + "/" + o.meta().text("name") }
func (o object) labels() labels.Set   { l, _ := o.meta()["labels"].(labels.Set); return l }
func (o object) matches(f filter) bool {
	return f.labels.Matches(o.labels()) && f.fields.Matches(o.fields())
}
func (o object) fields() fields.Set { return fields.Set{"metadata.name": o.meta().text("name")} }

type filter struct {
	labels labels.Selector
	fields fields.Selector
}

// kinds of objects by the resource in their path.
var kinds = map[string][2]string{
	"revisions":      {"serving.knative.dev/v1", "Revision"},
	"services":       {"v1", "Service"},
	"endpointslices": {"discovery.k8s.io/v1", "EndpointSlice"},
	"configmaps":     {"v1", "ConfigMap"},
	"secrets":        {"v1", "Secret"},
}

type event struct {
	Type   string `json:"type"`
	Object object `json:"object"`
}

// apiServer serves lists and watches in JSON as Kubernetes's does. Unlike that one it allows endpoints on the loopback.
type apiServer struct {
	kubeconfig string

	mu       sync.Mutex
	version  int
	objects  map[string]map[string]object // by resource and key
	watchers map[chan event]watching
}

type watching struct {
	resource string
	filter   filter
}

func newAPIServer() *apiServer {
	return &apiServer{version: 1, objects: map[string]map[string]object{}, watchers: map[chan event]watching{}}
}

// serve answers on l until the function that it returns is called.
func (a *apiServer) serve(t testing.TB, l net.Listener) (stop func()) {
	t.Helper()
	s := httptest.NewUnstartedServer(a)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	stop = sync.OnceFunc(func() {
		s.CloseClientConnections()
		s.Close()
	})
	t.Cleanup(stop)
	return stop
}

// write makes a kubeconfig for a server at addr.
func (a *apiServer) write(t testing.TB, addr string) {
	t.Helper()
	a.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": "http://` + addr + `"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c"}}]}`
	if err := os.WriteFile(a.kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (a *apiServer) put(resource, namespace, name string, l labels.Set, rest object) {
	o := object{"metadata": object{"namespace": namespace, "name": name, "labels": l}}
	maps.Copy(o, rest)
	a.change(resource, o, false)
}

func (a *apiServer) remove(resource, namespace, name string) {
	a.change(resource, object{"metadata": object{"namespace": namespace, "name": name}}, true)
}

func (a *apiServer) change(resource string, o object, gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	known := a.objects[resource][o.key()]
	e := event{"ADDED", o}
	switch {
	case gone:
		o = maps.Clone(known)
		o["metadata"] = maps.Clone(known.meta())
		delete(a.objects[resource], o.key())
		e = event{"DELETED", o}
	case known != nil:
		e.Type = "MODIFIED"
	}
	o["apiVersion"], o["kind"] = kinds[resource][0], kinds[resource][1]
	o.meta()["resourceVersion"] = strconv.Itoa(a.version)
	if !gone {
		if a.objects[resource] == nil {
			a.objects[resource] = map[string]object{}
		}
		a.objects[resource][o.key()] = o
	}
	for c, w := range a.watchers {
		if w.resource == resource && o.matches(w.filter) {
			c <- e
		}
	}
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	resource, q := parts[len(parts)-1], r.URL.Query()
	w.Header().Set("Content-Type", "application/json")
	if resource == "selfsubjectaccessreviews" {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "status": {"allowed": true}}`)
		return
	}
	kind, ok := kinds[resource]
	ls, err1 := labels.Parse(q.Get("labelSelector"))
	fs, err2 := fields.ParseSelector(q.Get("fieldSelector"))
	if !ok || err1 != nil || err2 != nil || r.Method != http.MethodGet {
		http.Error(w, "{}", http.StatusNotFound)
		return
	}
	out := json.NewEncoder(w)
	if q.Get("watch") == "" {
		items, version, _ := a.list(resource, filter{ls, fs}, nil)
		_ = out.Encode(object{
			"apiVersion": kind[0], "kind": kind[1] + "List", "items": items, "metadata": object{"resourceVersion": version},
		})
		return
	}
	events := make(chan event, 1000)
	items, version, end := a.list(resource, filter{ls, fs}, events)
	defer end()
	if q.Get("sendInitialEvents") == "true" {
		for _, o := range items {
			_ = out.Encode(event{"ADDED", o})
		}
		_ = out.Encode(event{"BOOKMARK", object{"apiVersion": kind[0], "kind": kind[1], "metadata": object{
			"resourceVersion": version, "annotations": object{metav1.InitialEventsAnnotationKey: "true"},
		}}})
	}
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-events:
			_ = out.Encode(e)
			w.(http.Flusher).Flush()
		}
	}
}

// list returns the objects. Later changes go to events until end, unless events is nil.
func (a *apiServer) list(resource string, f filter, events chan event) (items []object, version string, end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	items = []object{}
	for _, key := range slices.Sorted(maps.Keys(a.objects[resource])) {
		if o := a.objects[resource][key]; o.matches(f) {
			items = append(items, o)
		}
	}
	if events != nil {
		a.watchers[events] = watching{resource, f}
	}
	return items, strconv.Itoa(a.version), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.watchers, events)
	}
}

// Knative's names of things.
const system = "knative-serving"

func (a *apiServer) configMap(name string, data map[string]string) {
	a.put("configmaps", system, name, nil, object{"data": data})
}

func (a *apiServer) secret(data map[string][]byte) {
	a.put("secrets", system, "routing-serving-certs", nil, object{"data": data})
}

// revision makes default/hello, with one request at a time in a pod.
func (a *apiServer) revision() {
	a.put("revisions", "default", "hello", labels.Set{
		"serving.knative.dev/service": "hi", "serving.knative.dev/configuration": "conf",
	}, object{"spec": object{"containerConcurrency": 1, "timeoutSeconds": 20, "containers": []object{{"image": "x"}}}})
	a.put("services", "default", "hello-private", private, object{"spec": object{"clusterIP": "127.0.0.99"}})
}

var private = labels.Set{
	"networking.internal.knative.dev/serviceType": "Private", "serving.knative.dev/revision": "hello",
	"serving.knative.dev/revisionUID": "uid",
}

// pods makes the endpoints of default/hello.
func (a *apiServer) pods(t testing.TB, addrs ...string) {
	t.Helper()
	port, endpoints := 0, []object{}
	for _, addr := range addrs {
		host, p, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		port, _ = strconv.Atoi(p)
		endpoints = append(endpoints, object{
			"addresses": []string{host}, "conditions": object{"ready": true},
			"targetRef": object{"kind": "Pod", "namespace": "default", "name": addr, "uid": addr},
		})
	}
	a.put("endpointslices", "default", "hello-private-x", private, object{
		"addressType": "IPv4", "endpoints": endpoints, "ports": []object{{"name": "http", "port": port, "protocol": "TCP"}},
	})
}

// freeAddr returns an address at which no program listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func listenOn(t testing.TB, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	await(t, "the port "+addr, func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", addr)
		return err == nil
	})
	return l
}

// startAPIServer starts a server with Knative's ConfigMaps, of which only the network's has data.
func startAPIServer(t testing.TB, network map[string]string) *apiServer {
	t.Helper()
	a := newAPIServer()
	addr := freeAddr(t)
	a.write(t, addr)
	a.configMap("config-network", network)
	a.configMap("config-logging", nil)
	a.configMap("config-observability", nil)
	a.serve(t, listenOn(t, addr))
	return a
}
