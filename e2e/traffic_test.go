package e2e

import (
	"math"
	"net/http"
	"os"
	"testing"
	"time"
)

func example(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSplitAndTags(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t)
	q.writeText(example(t, "hello.yaml"))
	q.start(fast...)
	c := q.client(16)
	if a := mustGet(t, c, q.url("hello", "/")); a.body != "Hello World!\n" {
		t.Fatalf("%q", a.body)
	}
	q.writeText(example(t, "hello-split.yaml"))
	for name, want := range map[string]string{
		"world-hello": "Hello World!\n", "knative-hello": "Hello Knative!\n", // tags
		"hello-world": "Hello World!\n", "hello-knative": "Hello Knative!\n", // revisions
	} {
		q.eventually(name+" answers", func() bool { return get(c, q.url(name, "/")).ok() })
		if a := get(c, q.url(name, "/")); a.body != want {
			t.Errorf("%s: %v", name, a)
		}
	}

	const n = 2000
	world := 0
	for range n / 50 {
		for _, a := range burst(50, func(int) answer { return get(c, q.url("hello", "/")) }) {
			switch {
			case !a.ok():
				t.Fatal(a)
			case a.body == "Hello World!\n":
				world++
			case a.body != "Hello Knative!\n":
				t.Fatalf("%q", a.body)
			}
		}
	}
	sigma := math.Sqrt(n * 0.5 * 0.5)
	t.Logf("%d of %d to hello-world: %.1f σ off", world, n, (float64(world)-n/2)/sigma)
	if math.Abs(float64(world)-n/2) > 5*sigma {
		t.Errorf("%d of %d to hello-world", world, n)
	}
	if a := get(c, q.url("nothing", "/")); a.status != http.StatusNotFound {
		t.Errorf("unknown host: %v", a)
	}
}

func TestManifestChangedWhileRunning(t *testing.T) {
	q := serve(t, service{annotations: map[string]string{"min-scale": "1"}})
	c := q.client(1)
	mustGet(t, c, q.url("app", "/"))
	l := q.startLoad(q.url("app", "/"))
	q.eventually("the first revision serves", func() bool { return l.served("app-00001") > 0 })

	q.writeText("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: app}\nspec: {replicas: 3}\n")
	q.sees("service.yaml:4", "spec.replicas")
	mustGet(t, c, q.url("app", "/"))

	q.write(service{annotations: map[string]string{"min-scale": "1"}, env: map[string]string{"EDITION": "2"}})
	q.eventually("the second revision serves", func() bool { return l.served("app-00002") > 0 })
	// From one moment on all of the traffic is the second's.
	q.eventually("the first revision serves no more", func() bool {
		before := l.served("app-00001")
		second := l.served("app-00002")
		for l.served("app-00002") < second+loadRate {
			time.Sleep(5 * time.Millisecond)
		}
		return l.served("app-00001") == before
	})
	l.end(t)
	if a := mustGet(t, c, q.url("app-00001", "/")); a.head.Get("X-Revision") != "app-00001" {
		t.Errorf("the old revision's host is answered by %q", a.head.Get("X-Revision"))
	}
}
