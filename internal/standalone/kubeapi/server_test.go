package kubeapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
)

const testToken = "0123456789abcdef"

// testResources are of several groups, with and without namespaces, writes, subresources and schemas.
func testResources() []Resource {
	resource := func(group, version, name, kind string, namespaced bool) Resource {
		return Resource{
			GroupVersionResource: schema.GroupVersionResource{Group: group, Version: version, Resource: name},
			Kind:                 kind, Singular: strings.ToLower(kind), Namespaced: namespaced,
			Columns: []Column{{Name: "Name", Type: "string", Format: "name", Value: func(o Object) any { return o.GetName() }}},
		}
	}
	namespaces := resource("", "v1", "namespaces", "Namespace", false)
	namespaces.ShortNames = []string{"ns"}
	pods := resource("", "v1", "pods", "Pod", true)
	pods.ShortNames, pods.Categories = []string{"po"}, []string{"all"}
	pods.ReadOnly = "it is made from its Service: change that"
	deployments := resource("apps", "v1", "deployments", "Deployment", true)
	deployments.ShortNames, deployments.ReadOnly = []string{"deploy"}, "it is made from its Service: change that"
	services := resource("serving.knative.dev", "v1", "services", "Service", true)
	services.ShortNames, services.Categories = []string{"kservice", "ksvc"}, []string{"all", "knative", "serving"}
	services.Writes = []string{"create", "update", "patch", "delete"}
	services.Admit = func(w Write) (Admission, error) { return Admission{Object: w.New}, nil }
	services.Columns = append(services.Columns,
		Column{Name: "Generation", Type: "integer", Description: "Of the spec.", Value: func(o Object) any { return o.GetGeneration() }},
		Column{Name: "Reason", Type: "string", Priority: 1, Value: func(Object) any { return nil }},
	)
	services.Schema = map[string]any{
		"type": "object", "description": "A service.",
		"properties": map[string]any{"spec": map[string]any{
			"type": "object",
			"properties": map[string]any{"template": map[string]any{
				"type": "object", "description": "What a revision is made from.", "x-kubernetes-preserve-unknown-fields": true,
			}},
		}},
	}
	return []Resource{namespaces, pods, deployments, services}
}

// start serves c, whose zero fields get defaults, until the end of the test.
func start(t *testing.T, c Config) (s *Server, addr string) {
	t.Helper()
	if c.Resources == nil {
		c.Resources = testResources()
	}
	if c.Store == nil {
		c.Store = store.New(0)
	}
	if c.Do == nil {
		c.Do = func(f func()) bool { f(); return true }
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	c.Token, c.Version = testToken, "1.2.3"
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

// restConfig returns what client-go makes of the kubeconfig. Its connections end with the test.
func restConfig(t *testing.T, s *Server, addr string) *rest.Config {
	t.Helper()
	config, err := clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig(addr))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// client returns a client that trusts s.
func client(t *testing.T, s *Server, http2 bool) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.authority) {
		t.Fatal("the authority is no PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask sends a request with the token, whose fields may be changed by edit, and returns its status and body.
func ask(t *testing.T, c *http.Client, method, url string, edit func(r *http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	if edit != nil {
		edit(r)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// status returns the Status that an answer is.
func status(t *testing.T, body string) metav1.Status {
	t.Helper()
	var s metav1.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.Kind != "Status" || s.APIVersion != "v1" {
		t.Fatalf("not a Status (%v): %s", err, body)
	}
	return s
}

func TestBothVersionsOfHTTP(t *testing.T) {
	s, addr := start(t, Config{})
	for major, http2 := range map[int]bool{1: false, 2: true} {
		res, body := ask(t, client(t, s, http2), "GET", "https://"+addr+"/version", nil)
		if res.ProtoMajor != major || res.StatusCode != http.StatusOK {
			t.Errorf("HTTP/%d: got %s %s: %s", major, res.Proto, res.Status, body)
		}
	}
}

func TestNewRefusesFaults(t *testing.T) {
	twice, noAdmit := testResources(), testResources()
	twice[1] = twice[0]
	noAdmit[3].Admit = nil
	for want, c := range map[string]Config{
		"Token is empty":          {},
		"namespaces twice":        {Token: "t", Resources: twice},
		"has Writes and no Admit": {Token: "t", Resources: noAdmit},
	} {
		c.Log = zap.NewNop()
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPanicIsAnAnswerAndALine(t *testing.T) {
	core, lines := observer.New(zap.ErrorLevel)
	bad := testResources()
	s, addr := start(t, Config{Log: zap.New(core), Resources: bad})
	s.openAPI = func() map[string][]byte { panic("a fault") }
	for _, http2 := range []bool{false, true} {
		res, body := ask(t, client(t, s, http2), "GET", "https://"+addr+"/openapi/v3", nil)
		if st := status(t, body); res.StatusCode != 500 || st.Reason != metav1.StatusReasonInternalError || !strings.Contains(st.Message, "a fault") {
			t.Errorf("got %s: %s", res.Status, body)
		}
	}
	all := lines.All()
	if len(all) != 2 || all[0].ContextMap()["path"] != "/openapi/v3" || !strings.Contains(all[0].ContextMap()["stack"].(string), "route") {
		t.Errorf("got lines %v", all)
	}
}

// panicky is a response whose body can't be written.
type panicky struct{ http.ResponseWriter }

func (panicky) Write([]byte) (int, error) { panic("a fault") }

// The client must not take a part of an answer for the whole.
func TestPanicInAnAnswerBreaksTheConnection(t *testing.T) {
	core, lines := observer.New(zap.ErrorLevel)
	s, addr := start(t, Config{Log: zap.New(core)})
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(panicky{w}, r) })
	for _, http2 := range []bool{false, true} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+addr+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := client(t, s, http2).Do(r); err == nil {
			res.Body.Close()
			t.Errorf("got %s", res.Status)
		}
	}
	if n := lines.Len(); n < 2 { // clients send a GET once more
		t.Errorf("got %d lines", n)
	}
}

func TestCloseEndsRequests(t *testing.T) {
	begun := make(chan struct{})
	ended := make(chan struct{})
	s, err := New(Config{Token: testToken, Resources: testResources(), Log: zap.NewNop(), Store: store.New(0)})
	if err != nil {
		t.Fatal(err)
	}
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			t.Error("no request begins")
			return
		}
		defer s.requests.Done()
		close(begun)
		<-r.Context().Done()
		close(ended)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c := client(t, s, true)
	answered := make(chan error, 1)
	go func() {
		r, _ := http.NewRequestWithContext(context.Background(), "GET", "https://"+l.Addr().String()+"/", nil)
		res, err := c.Do(r)
		if err == nil {
			err = res.Body.Close()
		}
		answered <- err
	}()
	<-begun
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close returned while a request was served")
	}
	if s.begin() {
		t.Error("a request begins after Close")
	}
	for name, done := range map[string]chan error{"Serve": served, "the request": answered} {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s hasn't ended", name)
		}
	}
}
