package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

// kubernetes is a real API server over a real etcd, as processes, without controllers.
type kubernetes struct {
	t          *testing.T
	dir, bin   string
	etcd, port string // of etcd and of the API server
	server     *exec.Cmd
	admin      rest.Interface // speaks JSON
}

// program finds one in $SLUICE_KUBE_BIN or on the path.
func program(t *testing.T, file string) string {
	t.Helper()
	if dir := os.Getenv("SLUICE_KUBE_BIN"); dir != "" {
		if p, err := exec.LookPath(filepath.Join(dir, file)); err == nil {
			return p
		}
	}
	p, err := exec.LookPath(file)
	if err != nil {
		t.Skipf("%s is neither on the path nor in $SLUICE_KUBE_BIN", file)
	}
	return p
}

func newKubernetes(t *testing.T) *kubernetes {
	t.Helper()
	k := &kubernetes{t: t, bin: program(t, "kube-apiserver"), etcd: freePort(t), port: freePort(t)}
	etcd := program(t, "etcd")
	k.dir = t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	k.file("sa.key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	k.file("tokens", []byte("admin-token,admin,admin,system:masters\nactivator-token,activator,activator,\n"))
	peers := "http://127.0.0.1:" + freePort(t)
	k.start(etcd, "--data-dir", filepath.Join(k.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", "http://127.0.0.1:"+k.etcd, "--advertise-client-urls", "http://127.0.0.1:"+k.etcd,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
	all, err := newClients(k.config("admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.close)
	k.admin = all.knative
	k.up()
	return k
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (k *kubernetes) file(base string, data []byte) string {
	p := filepath.Join(k.dir, base)
	if err := os.WriteFile(p, data, 0o600); err != nil {
		k.t.Fatal(err)
	}
	return p
}

// start runs a program until the test ends.
func (k *kubernetes) start(path string, args ...string) *exec.Cmd {
	k.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := orphans.StartFor(k.t, cmd); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if k.t.Failed() {
			k.t.Logf("%s: …%s", filepath.Base(path), out.Bytes()[max(0, out.Len()-1500):])
		}
	})
	return cmd
}

// up starts the API server, the first time or again, and waits for it.
func (k *kubernetes) up() {
	k.t.Helper()
	key := filepath.Join(k.dir, "sa.key")
	k.server = k.start(k.bin, "--etcd-servers=http://127.0.0.1:"+k.etcd, "--bind-address=127.0.0.1", "--secure-port="+k.port,
		"--cert-dir="+filepath.Join(k.dir, "certs"), "--token-auth-file="+filepath.Join(k.dir, "tokens"), "--authorization-mode=RBAC",
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key, "--service-account-issuer=https://test",
		"--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount",
		"--enable-priority-and-fairness=false", "--profiling=false")
	k.eventually("the API server is ready", func() error {
		return k.admin.Get().AbsPath("/readyz").Do(context.Background()).Error()
	})
}

func (k *kubernetes) kill() {
	_ = k.server.Process.Kill()
	_ = k.server.Wait()
}

func (k *kubernetes) config(token string) *rest.Config {
	return &rest.Config{
		Host: "https://127.0.0.1:" + k.port, BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, // its certificate is made as it starts
	}
}

func (k *kubernetes) eventually(what string, f func() error) {
	k.t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	k.t.Fatalf("%s: %v", what, err)
}

// create posts an object, or a manifest in JSON, to a path.
func (k *kubernetes) create(path string, obj any) {
	k.t.Helper()
	if err := k.admin.Post().AbsPath(path).Body(k.json(obj)).Do(context.Background()).Error(); err != nil {
		k.t.Fatalf("%s: %v", path, err)
	}
}

// merge patches an object.
func (k *kubernetes) merge(path, patch string) {
	k.t.Helper()
	err := k.admin.Patch("application/merge-patch+json").AbsPath(path).Body([]byte(patch)).Do(context.Background()).Error()
	if err != nil {
		k.t.Fatalf("%s: %v", path, err)
	}
}

func (k *kubernetes) delete(path string) {
	k.t.Helper()
	if err := k.admin.Delete().AbsPath(path).Do(context.Background()).Error(); err != nil {
		k.t.Fatalf("%s: %v", path, err)
	}
}

func (k *kubernetes) json(obj any) []byte {
	k.t.Helper()
	switch o := obj.(type) {
	case string:
		return []byte(o)
	case runtime.Object:
		withKind(o)
	}
	data, err := json.Marshal(obj)
	if err != nil {
		k.t.Fatal(err)
	}
	return data
}

const revisionCRD = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"revisions.serving.knative.dev"},
"spec":{"group":"serving.knative.dev","scope":"Namespaced","names":{"kind":"Revision","plural":"revisions","singular":"revision"},
"versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`

// grant gives the activator a ClusterRole with one rule, in all namespaces: to watch, if no verbs are said.
func (k *kubernetes) grant(role, group, resources string, verbs ...string) {
	if verbs == nil {
		verbs = []string{"get", "list", "watch"}
	}
	k.create("/apis/rbac.authorization.k8s.io/v1/clusterroles", fmt.Sprintf(
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":%q},
		"rules":[{"apiGroups":[%q],"resources":[%s],"verbs":%s}]}`, role, group, resources, k.json(verbs)))
	k.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", fmt.Sprintf(
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":%q},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"activator"}]}`, role, role))
}

func (k *kubernetes) namespace(ns string) {
	k.create("/api/v1/namespaces", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+ns+`"}}`)
}
