package client

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const form = `apiVersion: v1
kind: Config
clusters: [{name: s, cluster: {server: '%s', certificate-authority-data: %s}}]
users: [{name: s, user: {token: secret}}]
`

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// open returns a client of an API, and the API.
func open(t *testing.T, api http.HandlerFunc) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		api(w, r)
	}))
	t.Cleanup(s.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c, err := Open(write(t, fmt.Sprintf(form, s.URL, base64.StdEncoding.EncodeToString(authority))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, s
}

func TestOpenRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "should have one cluster and one user",
		"[":                             "yaml",
		"clusters: 7":                   "cannot unmarshal",
		"clusters: [{}]\nusers: [{}]\n": "has no certificate authority",
		fmt.Sprintf(form, "https://127.0.0.1:1", "eA=="): "has no certificate authority",
	} {
		file := write(t, text)
		if _, err := Open(file); err == nil || !strings.HasPrefix(err.Error(), file) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

func TestListAndWatch(t *testing.T) {
	const object = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","namespace":"default"}}`
	c, _ := open(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case r.URL.Path != "/api/v1/pods" || q.Get("labelSelector") != "a=b":
			w.WriteHeader(http.StatusBadRequest)
		case q.Get("watch") == "":
			fmt.Fprintf(w, `{"apiVersion":"v1","kind":"PodList","metadata":{"resourceVersion":"7"},"items":[`+object+`]}`, "one")
		case q.Get("resourceVersion") == "7":
			for _, e := range []string{"ADDED", "DELETED", "MODIFIED", "BOOKMARK"} {
				fmt.Fprintf(w, `{"type":"%s","object":`+object+"}\n", e, strings.ToLower(e))
			}
		}
	})
	items, version, err := c.List(t.Context(), "/api/v1/pods", "a=b")
	if err != nil || len(items) != 1 || items[0].GetName() != "one" || version != "7" {
		t.Fatalf("%v, %s, %v", items, version, err)
	}
	var got []string
	err = c.Watch(t.Context(), "/api/v1/pods", "a=b", version, func(o *unstructured.Unstructured) { got = append(got, o.GetName()) })
	if err != nil || fmt.Sprint(got) != "[added modified]" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestErrors(t *testing.T) {
	c, s := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		if r.URL.Path == "/status" {
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","message":"pods \"x\" not found"}`)
		}
	})
	for path, want := range map[string]string{"/status": `pods "x" not found`, "/none": "404 Not Found"} {
		if err := c.Exists(t.Context(), path); err == nil || err.Error() != s.URL+": "+want {
			t.Errorf("%s: %v", path, err)
		}
	}
	s.Close()
	if _, _, err := c.List(t.Context(), "/x", ""); !errors.Is(err, ErrNone) || !strings.HasSuffix(err.Error(), "connection refused") {
		t.Error(err)
	}
}
