package kube

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const (
	revisionsPath = "/apis/serving.knative.dev/v1/namespaces/ns/revisions"
	slicesPath    = "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices"
)

// With Knative's own roles, with the one for slices besides, and over a restart, on a real API server.
func TestSourceOnKubernetes(t *testing.T) {
	k := newKubernetes(t)
	k.namespace("ns")
	k.namespace("knative-serving")
	k.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", revisionCRD)
	k.eventually("Revisions are served", func() error {
		return k.admin.Get().AbsPath(revisionsPath).Do(context.Background()).Error()
	})
	k.grant("knative", "", `"services","endpoints"`)
	k.grant("knative-revisions", "serving.knative.dev", `"revisions"`)

	// More pods than Endpoints may list, in slices; and those that Endpoints do list.
	const each, n = 300, 5
	system := pod{uid: "a", ip: "10.244.0.3", namespace: "knative-serving", state: "ready"}
	svc := aService("hello", "10.96.0.99")
	svc.Spec.Ports = append(svc.Spec.Ports, svcPort())
	k.create(revisionsPath, aRevision("hello", 2))
	k.create("/api/v1/namespaces/ns/services", svc)
	k.create("/api/v1/namespaces/ns/endpoints", coreList(labelled("hello-private", "hello", "Private"), podsFrom(1, 1000)...))
	k.create("/api/v1/namespaces/ns/endpoints", coreList(labelled("hello", "hello", "Public"), system))
	for i := range n {
		k.create(slicesPath, podSlice("hello", i, podsFrom(1+i*each, each)...))
	}
	k.create(slicesPath, peerSlice("hello", system))

	core, logs := observer.New(zap.InfoLevel)
	s, r := started(t, Config{REST: k.config("activator-token"), Log: zap.New(core)}, func(s *Source) { s.pods.period = 100 * time.Millisecond })
	within(t, "synced with Endpoints", s.Synced())
	if got := r.of("hello"); len(got.endpoints.Ready) != 1000 || got.endpoints.ClusterIP != "10.96.0.99:80" || !reflect.DeepEqual(got.peers, []string{"10.244.0.3"}) || got.revision.Limit != 2 {
		t.Errorf("published %d pods, %q, %v, %+v", len(got.endpoints.Ready), got.endpoints.ClusterIP, got.peers, got.revision)
	}
	if logs.FilterMessageSnippet("grant").Len() != 1 {
		t.Errorf("not logged once: %v", logs.All())
	}

	k.grant("slices", "discovery.k8s.io", `"endpointslices"`)
	r.until("slices, as they have been granted", "hello", func(s published) bool { return len(s.endpoints.Ready) == each*n })
	s, r2 := started(t, Config{REST: k.config("activator-token")})
	within(t, "synced with slices", s.Synced())
	if got := len(r2.of("hello").endpoints.Ready); got != each*n {
		t.Errorf("%d pods, want %d", got, each*n)
	}

	k.merge(revisionsPath+"/hello", `{"spec":{"containerConcurrency":7}}`)
	r2.until("limit", "hello", func(s published) bool { return s.revision.Limit == 7 })
	k.merge(slicesPath+"/hello-private-000", `{"endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":false,"terminating":true}},{"addresses":["10.0.0.2"],"conditions":{"ready":false}}]}`)
	r2.until("states", "hello", func(s published) bool {
		return len(s.endpoints.Ready) == each*(n-1) && len(s.endpoints.NotReady) == 1
	})

	t.Log("the API server is killed, and comes back")
	k.kill()
	k.up()
	k.delete(slicesPath + "/hello-private-001")
	r2.until("a slice less", "hello", func(s published) bool { return len(s.endpoints.Ready) == each*(n-2) })
	k.delete(revisionsPath + "/hello")
	r2.until("no revision", "hello", func(s published) bool { return s.revision == nil })
	r.until("no revision for the other", "hello", func(s published) bool { return s.revision == nil })
}

// On a real API server, with Knative's own Role.
func TestSystemOnKubernetes(t *testing.T) {
	k := newKubernetes(t)
	k.namespace("system")
	k.create("/apis/rbac.authorization.k8s.io/v1/namespaces/system/roles", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"r"},
		"rules":[{"apiGroups":[""],"resources":["configmaps","secrets"],"verbs":["get","list","watch"]}]}`)
	k.create("/apis/rbac.authorization.k8s.io/v1/namespaces/system/rolebindings", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"r"},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"activator"}]}`)
	k.create("/api/v1/namespaces/system/configmaps", configMapOf("config-a", false, map[string]string{"k": "v"}))
	k.create("/api/v1/namespaces/system/secrets", secretOf("other", "x"))

	secrets := make(chan string, 10)
	bundles := make(chan int, 10)
	s, err := NewSystem(SystemConfig{
		REST: k.config("activator-token"), Namespace: "system", Secrets: []SecretWatch{{Name: "certs"}},
		OnSecret:       func(_ string, data map[string][]byte) { secrets <- string(data["tls.crt"]) },
		OnTrustBundles: func(pems [][]byte) { bundles <- len(pems) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	within(t, "synced", s.Synced())
	k.create("/api/v1/namespaces/system/secrets", secretOf("certs", "one"))
	k.create("/api/v1/namespaces/system/configmaps", configMapOf("ca", true, map[string]string{"a": "1", "b": "2"}))
	var published []any
	k.eventually("published", func() error {
		for len(published) < 4 {
			select {
			case v := <-secrets:
				published = append(published, v)
			case v := <-bundles:
				published = append(published, v)
			default:
				return errors.New("not all published")
			}
		}
		return nil
	})
	for _, want := range []any{"", 0, "one", 2} {
		if !slices.Contains(published, want) {
			t.Errorf("published %v, without %v", published, want)
		}
	}
}
