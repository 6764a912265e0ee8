package throttler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

// A reverse proxy that gives its pod one request at a time; the others wait, in order, also while there is no pod yet.
func Example() {
	pod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Hello!") }))
	defer pod.Close()
	t, _ := throttler.New(throttler.Config{}) // the zero Config is valid
	hello := throttler.RevisionID{Namespace: "default", Name: "hello"}
	t.SetRevision(hello, throttler.RevisionConfig{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, err := t.Acquire(r.Context(), throttler.Demand{Revision: hello})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer lease.Release(throttler.OK)
		httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: lease.Addr()}).ServeHTTP(w, r)
	}))
	defer front.Close()
	backend := throttler.Backend{Addr: pod.Listener.Addr().String(), Slots: 1, Own: true}
	time.AfterFunc(time.Millisecond, func() { t.SetBackends(hello, []throttler.Backend{backend}) })
	resp, err := http.Get(front.URL)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	io.Copy(os.Stdout, resp.Body)
	// Output: Hello!
}

func ExampleBreaker() {
	b := throttler.NewBreaker(1, 0) // one at a time, none may wait
	ctx := context.Background()

	if err := b.Acquire(ctx); err == nil {
		fmt.Println("in")
	}
	if err := b.Acquire(ctx); errors.Is(err, throttler.ErrQueueFull) {
		fmt.Println("full, come back in", b.RetryAfter())
	}
	b.Release()
	// Output:
	// in
	// full, come back in 1s
}

func ExampleShare() {
	pods := []string{"pod-a", "pod-b", "pod-c", "pod-d"}
	fmt.Println(throttler.Share(pods, []string{"10.0.0.1", "10.0.0.2"}, "10.0.0.2"))
	// Output: [false false true true]
}
