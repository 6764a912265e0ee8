package standalone

import (
	"io"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/containers"
)

// withAPI returns a world with the API and a state of its own. It has no manifest if none is given.
func withAPI(t *testing.T, manifest string) *world {
	w := newWorld(t, manifest)
	w.config.API, w.config.Runtime = &API{State: t.TempDir()}, containers.Process
	if manifest == "" {
		w.config.Files = nil
	}
	return w
}

// again is a quickstart with the same settings and state, after w has ended.
func (w *world) again() *world {
	w.t.Helper()
	w.end()
	next := newWorld(w.t, "")
	config := w.config
	config.Screen = next.config.Screen
	next.config, next.file = config, w.file
	return next
}

// resource returns a client for a resource of the API, in namespace default.
func (w *world) resource(r schema.GroupResource) dynamic.ResourceInterface {
	w.t.Helper()
	return w.allNamespaces(r).Namespace("default")
}

func (w *world) allNamespaces(r schema.GroupResource) dynamic.NamespaceableResourceInterface {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.server.api.kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return client.Resource(r.WithVersion("v1"))
}

// object reads an object of the API.
func (w *world) object(r schema.GroupResource, name string) *unstructured.Unstructured {
	w.t.Helper()
	o, err := w.resource(r).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func decoded(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.TrimPrefix(manifest, "---\n")), o); err != nil {
		t.Fatal(err)
	}
	return o
}

func (w *world) creates(r schema.GroupResource, manifest string) {
	w.t.Helper()
	if _, err := w.resource(r).Create(w.t.Context(), decoded(w.t, manifest), metav1.CreateOptions{FieldValidation: "Strict"}); err != nil {
		w.t.Fatal(err)
	}
}

// updates changes the value of TARGET.
func (w *world) updates(name, target string) {
	w.t.Helper()
	patch := `[{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "` + target + `"}]`
	if _, err := w.resource(services).Patch(w.t.Context(), name, "application/json-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func TestServicesOfTheAPIAreServedAndLast(t *testing.T) {
	t.Parallel()
	w := withAPI(t, "").start()
	w.creates(services, service("web", "", "World", ""))
	w.gets("web", "200 Hello World!\n")
	w.updates("web", "Knative")
	w.eventually("the second revision", func() bool { got, _ := w.get("web"); return got == "200 Hello Knative!\n" })
	w.creates(configMaps, "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: b}}")
	before, first := w.object(services, "web"), w.object(revisions, "web-00001")

	w = w.again().start()
	w.gets("web", "200 Hello Knative!\n")
	w.gets("web-00001", "200 Hello World!\n")
	after := w.object(services, "web")
	if after.GetUID() != before.GetUID() || after.GetGeneration() != 2 || w.object(revisions, "web-00001").GetUID() != first.GetUID() {
		t.Errorf("generation %d, uid %s, before %s", after.GetGeneration(), after.GetUID(), before.GetUID())
	}
	if n, _ := w.resource(revisions).List(t.Context(), metav1.ListOptions{}); len(n.Items) != 2 {
		t.Errorf("%d revisions", len(n.Items))
	}
	if data, _, _ := unstructured.NestedString(w.object(configMaps, "settings").Object, "data", "a"); data != "b" {
		t.Errorf("ConfigMap: %q", data)
	}
	w.updates("web", "again")
	w.eventually("the third revision", func() bool { got, _ := w.get("web-00003"); return got == "200 Hello again!\n" })
	if err := w.resource(services).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("gone", func() bool { got, _ := w.get("web"); return strings.HasPrefix(got, "404") })
	if list, err := w.resource(revisions).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("revisions of a deleted service: %v %v", list, err)
	}
}

// The API's server has the metrics of brokers and of the activator, for those who have the token: kubectl get --raw /metrics.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := withAPI(t, service("web", "", "World", "")+eventingObject("Broker", "b", "{}")).start()
	w.gets("web", "200 Hello World!\n")
	w.sees("events for Broker b:")
	w.sendsEvent("/default/b", "order", "apples")
	config, err := clientcmd.BuildConfigFromFlags("", w.server.api.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{config.BearerToken, "none"} {
		config.BearerToken = token
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Get(config.Host + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		client.CloseIdleConnections()
		if token == "none" {
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("without the token: %s", resp.Status)
			}
			break
		}
		for _, series := range []string{
			`sluice_broker_events_total{broker="b",namespace="default",result="accepted"} 1`, `sluice_cold_start_seconds_count{`,
		} {
			if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), series) {
				t.Errorf("%s: there is no %s in %s", resp.Status, series, text)
			}
		}
	}
}

func TestFilesStayTheTruth(t *testing.T) {
	t.Parallel()
	w := withAPI(t, service("hello", "", "file", "")).start()
	w.gets("hello", "200 Hello file!\n")
	w.updates("hello", "client")
	w.eventually("the client's", func() bool { got, _ := w.get("hello"); return got == "200 Hello client!\n" })

	w = w.again().start()
	w.gets("hello", "200 Hello file!\n")
	if got := w.object(services, "hello").GetGeneration(); got != 3 {
		t.Errorf("generation %d", got)
	}
	w.creates(services, service("web", "", "World", ""))
	w.write(service("other", "", "other", ""))
	w.eventually("the file's", func() bool { got, _ := w.get("other"); return got == "200 Hello other!\n" })
	if _, err := w.resource(services).Get(t.Context(), "hello", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("no file names it any more: %v", err)
	}
	w.gets("web", "200 Hello World!\n")
}

// A saved service whose program is gone must not keep the others from being served.
func TestSavedServiceThatCantBeServed(t *testing.T) {
	t.Parallel()
	w := withAPI(t, "").start()
	w.creates(services, service("web", "", "World", ""))
	w.config.Images = map[string][]string{"example.com/app": {"/bin/true"}}
	w = w.again().start()
	w.creates(services, strings.Replace(service("app", "", "World", ""), "ghcr.io/knative/helloworld-go:latest", "example.com/app", 1))
	w.config.Images = nil
	w = w.again().start()
	w.sees("Service app of the saved state is not served")
	w.gets("web", "200 Hello World!\n")
	conditions, _, _ := unstructured.NestedSlice(w.object(services, "app").Object, "status", "conditions")
	if len(conditions) != 1 || conditions[0].(map[string]any)["reason"] != "NotServed" {
		t.Errorf("%v", conditions)
	}
	if err := w.resource(services).Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w = w.again().start()
	if _, err := w.resource(services).Get(t.Context(), "app", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

func TestClientsAreToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := withAPI(t, "").start()
	create := func(manifest, validation string) error {
		_, err := w.resource(services).Create(t.Context(), decoded(t, manifest), metav1.CreateOptions{FieldValidation: validation})
		return err
	}
	unknown := service("web", "", "World", "      volums: []\n")
	if err := create(unknown, "Strict"); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), `unknown field "spec.template.spec.volums"; the nearest is volumes`) {
		t.Error(err)
	}
	err := create(strings.Replace(service("web", "", "World", ""), "ghcr.io/knative/helloworld-go:latest", "example.com/none", 1), "Warn")
	status, ok := err.(apierrors.APIStatus)
	if !ok || !apierrors.IsInvalid(err) || status.Status().Details.Causes[0].Field != "spec.template.spec.containers[0].image" {
		t.Error(err)
	}
	if err := create(unknown, "Warn"); err != nil {
		t.Fatal(err)
	}
	w.gets("web", "200 Hello World!\n")
	if _, there, _ := unstructured.NestedSlice(w.object(services, "web").Object, "spec", "template", "spec", "volums"); there {
		t.Error("an unknown field was kept")
	}
	err = w.resource(revisions).Delete(t.Context(), "web-00001", metav1.DeleteOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a revision with traffic: %v", err)
	}
	err = w.resource(pods).Delete(t.Context(), "web", metav1.DeleteOptions{})
	if !apierrors.IsMethodNotSupported(err) && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// Objects that were made from a Service go with it, also if a file named it and no longer does at the next start.
func TestSavedObjectsGoWithTheirService(t *testing.T) {
	t.Parallel()
	w := withAPI(t, service("hello", "", "file", "")+service("other", "", "file", "")).start()
	w.gets("hello", "200 Hello file!\n")
	w = w.again()
	w.write(service("other", "", "file", ""))
	w.start()
	for _, r := range madeResources {
		list, err := w.resource(r).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || list.Items[0].GetLabels()[knative.LabelService] != "other" {
			t.Errorf("%s: %d items, %v", r.Resource, len(list.Items), err)
		}
	}
}

// The revision that served until the latest is ready does so after a restart, too, and is the latest ready one.
func TestServingRevisionLasts(t *testing.T) {
	t.Parallel()
	w := withAPI(t, "")
	w.config.Images = map[string][]string{"example.com/broken": {"/bin/false"}}
	w.start()
	w.creates(services, service("web", "", "first", ""))
	w.updates("web", "second")
	w.eventually("the second revision", func() bool { got, _ := w.get("web"); return got == "200 Hello second!\n" })
	broken := `{"spec": {"template": {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
		"spec": {"containers": [{"image": "example.com/broken"}]}}}}`
	if _, err := w.resource(services).Patch(t.Context(), "web", "application/merge-patch+json", []byte(broken), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.gets("web", "200 Hello second!\n")
		status, _, _ := unstructured.NestedMap(w.object(services, "web").Object, "status")
		if status["latestReadyRevisionName"] != "web-00002" || status["latestCreatedRevisionName"] != "web-00003" {
			t.Errorf("latest ready %v, created %v", status["latestReadyRevisionName"], status["latestCreatedRevisionName"])
		}
		w = w.again().start()
	}
}

// Namespaces have names that can be a part of a host, and the label with their name; what isn't their metadata is not kept.
func TestNamespacesOfClients(t *testing.T) {
	t.Parallel()
	w := withAPI(t, "").start()
	all := w.allNamespaces(namespaces)
	for _, name := range []string{"a.b", strings.Repeat("x", 64)} {
		if _, err := all.Create(t.Context(), decoded(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+name+"}}"), metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o, err := all.Create(t.Context(), decoded(t, "{apiVersion: v1, kind: Namespace, metadata: {name: mine, labels: {a: b}}, other: 1}"), metav1.CreateOptions{})
	if err != nil || len(o.GetLabels()) != 2 || o.GetLabels()["kubernetes.io/metadata.name"] != "mine" || o.Object["other"] != nil {
		t.Errorf("%v %v", o, err)
	}
	if err := all.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("all at once, which Kubernetes has not: %v", err)
	}
}
