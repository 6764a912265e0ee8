package standalone

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
)

// caller is an app that fetches a URL with the client that the path names, and says what it got.
const caller = `package main

import ("fmt"; "io"; "net/http"; "os"; "os/exec"; "strings")

func fetch(client, url string) (string, error) {
	run := func(argv ...string) (string, error) {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		return string(out), err
	}
	switch client {
	case "env":
		return os.Getenv(url), nil
	case "curl":
		return run("curl", "-sS", url)
	case "urllib":
		return run("python3", "-c", "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode(), end='')", url)
	case "requests":
		return run("python3", "-c", "import sys, requests; print(requests.get(sys.argv[1]).text, end='')", url)
	}
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func main() {
	http.ListenAndServe("127.0.0.1:" + os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := fetch(strings.TrimPrefix(r.URL.Path, "/"), r.URL.Query().Get("url"))
		if err != nil {
			got += err.Error()
		}
		fmt.Fprint(w, strings.TrimSpace(got))
	}))
}
`

// call has an app fetch a URL.
func (w *world) call(app, client, target string) string {
	w.t.Helper()
	resp, err := w.resolving().Get(w.server.url(app, "default") + "/" + client + "?url=" + url.QueryEscape(target))
	if err != nil {
		w.t.Fatal(err)
	}
	return bodyOf(w.t, resp)
}

// installed reports whether the program of a client is there.
func installed(client string) bool {
	argv := map[string][]string{
		"go": {"true"}, "curl": {"curl", "--version"}, "urllib": {"python3", "-c", ""}, "requests": {"python3", "-c", "import requests"},
	}[client]
	return exec.Command(argv[0], argv[1:]...).Run() == nil
}

// Real apps call each other by the cluster's names with the usual clients, and other hosts as before.
func TestAppsCallEachOtherByTheNamesOfACluster(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(caller)
	front := command(annotated("front", "x", "sluice.dev/cluster-names: 'true'"), b.file)
	w := newWorld(t, front+service("back", "back-a", "A", "")+
		strings.Replace(service("other", "", "Other", ""), "name: other}", "name: other, namespace: shop}", 1)).start()
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "outside ", r.Host) }))
	defer outside.Close()
	direct := strings.TrimPrefix(outside.URL, "http://")
	for _, client := range []string{"go", "curl", "urllib", "requests"} {
		t.Run(client, func(t *testing.T) {
			if !installed(client) {
				t.Skip("it isn't installed")
			}
			for target, want := range map[string]string{
				"http://back.default.svc.cluster.local":      "Hello A!",
				"http://back.default.svc.cluster.local:8080": "Hello A!",
				"http://back.default.svc/":                   "Hello A!",
				"http://back.default":                        "Hello A!",
				"http://back-a.default.svc":                  "Hello A!",
				"http://other.shop.svc.cluster.local/":       "Hello Other!",
				"http://" + direct:                           "outside " + direct,
			} {
				if got := w.call("front", client, target); got != want {
					t.Errorf("%s: %q, want %q", target, got, want)
				}
			}
		})
	}
	if got := w.call("front", "go", "http://nobody.default.svc"); !strings.Contains(got, `no service is called "nobody.default.svc"`) {
		t.Errorf("%q", got)
	}
	if got := w.call("front", "go", "http://no-such-host.invalid"); !strings.Contains(got, "lookup no-such-host.invalid") {
		t.Errorf("%q", got)
	}
}

// Only apps that are to use it get the proxy, and none that has one of its own.
func TestProxyIsSetForThoseThatWantIt(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(caller)
	app := func(name, env string) string {
		return strings.Replace(command(service(name, "", "x", ""), b.file), "env: [", "env: ["+env, 1)
	}
	w := newWorld(t, app("plain", "")+app("own", "{name: http_proxy, value: 'http://192.0.2.7:1'}, "))
	w.config.ClusterNames = true
	w.start()
	got := w.call("plain", "env", "HTTP_PROXY")
	if !strings.HasPrefix(got, "http://127.0.0.1:") || w.call("plain", "env", "http_proxy") != got {
		t.Errorf("%q", got)
	}
	if got := w.call("plain", "env", "NO_PROXY"); !strings.HasSuffix(got, "localhost,127.0.0.1,::1") {
		t.Errorf("%q", got)
	}
	if got := w.call("own", "env", "http_proxy") + w.call("own", "env", "HTTP_PROXY"); got != "http://192.0.2.7:1" {
		t.Errorf("%q", got)
	}
	w = newWorld(t, app("plain", "")).start()
	if got := w.call("plain", "env", "HTTP_PROXY"); got != "" {
		t.Errorf("%q", got)
	}
	if w.server.forward != nil {
		t.Error("a proxy that nobody uses")
	}
}
