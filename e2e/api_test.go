package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// Knative on one machine is one process, which needs no other program and is small until an app runs.
func TestPeers44OneProcess(t *testing.T) {
	needProc(t)
	t.Parallel()
	q := newQuickstart(t)
	cmd := exec.Command(link(t, q.dir, "quickstart"), q.args("-f=")...)
	cmd.Env = append(os.Environ(), "PATH=", "HOME=")
	q.launch(cmd)
	q.sees("export KUBECONFIG=")
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(q.dir, "sluice", "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ksvc := client.Resource(schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}).Namespace("default")
	container := map[string]any{"image": "ghcr.io/knative/helloworld-go:latest", "env": []any{map[string]any{"name": "TARGET", "value": "you"}}}
	hello := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": map[string]any{"name": "hello"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{container}}}},
	}}
	if _, err := ksvc.Create(t.Context(), hello, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if all := q.processes(); len(all) != 1 {
		t.Errorf("before the first request: %v", all)
	}
	if n := anonymous(q.pid()); n > 45<<20 && !raceEnabled {
		t.Errorf("%d bytes of memory", n)
	}
	if a := mustGet(t, q.client(1), q.url("hello", "/")); a.body != "Hello you!\n" {
		t.Error(a)
	}
}
