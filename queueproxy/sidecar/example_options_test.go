package sidecar_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
	"github.com/sluice-proxy/sluice/queueproxy/sidecar"
)

// A policy that examines heads only: it rejects requests without a token before they take a slot, and marks responses.
func ExampleWithPolicy() {
	guard := func(next proxy.Policy) proxy.Policy { return guarded{next} }

	get, stop := runMain(sidecar.WithPolicy(guard))
	defer stop()
	fmt.Println(get("/", ""))
	fmt.Println(get("/", "secret"))
	// Output:
	// 403 "no token\n" guarded=
	// 200 "Hello /" guarded=yes
}

// guarded is a policy around another one. Its exchange embeds the inner one, which does everything else.
type guarded struct{ next proxy.Policy }

func (g guarded) Begin(req *proxy.Request) proxy.Exchange {
	if queueproxy.IsProbe(req.Header) { // probes have no token
		return g.next.Begin(req)
	}
	return guardedExchange{g.next.Begin(req)}
}

type guardedExchange struct{ proxy.Exchange }

func (e guardedExchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	if req.Header.Get("X-Token") != "secret" {
		return proxy.Answer(&proxy.Local{Status: http.StatusForbidden, Body: "no token\n"}), nil
	}
	return e.Exchange.Next(req, a)
}

func (e guardedExchange) Response(req *proxy.Request, resp *proxy.Response) bool {
	resp.Header.Set("X-Guarded", "yes")
	return e.Exchange.Response(req, resp)
}

// Middleware for net/http runs in front of the queue-proxy without a change.
func ExampleWithHandler() {
	middleware := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Token") != "secret" {
				http.Error(w, "no token", http.StatusForbidden)
				return
			}
			w.Header().Set("X-Guarded", "yes")
			next.ServeHTTP(w, r)
		})
	}

	get, stop := runMain(sidecar.WithHandler(middleware))
	defer stop()
	fmt.Println(get("/", ""))
	fmt.Println(get("/", "secret"))
	// Output:
	// 403 "no token\n" guarded=
	// 200 "Hello /" guarded=yes
}

// An extension that sees the connections to the app, and could replace them, as a custom http.Transport would.
func ExampleWithDial() {
	dialled := make(chan string, 10)
	watch := func(next queueproxy.DialFunc) queueproxy.DialFunc {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := next(ctx, network, addr)
			if err == nil {
				dialled <- network
			}
			return c, err
		}
	}

	get, stop := runMain(sidecar.WithDial(watch))
	defer stop()
	fmt.Println(get("/", ""))
	fmt.Println("dialled", <-dialled)
	// Output:
	// 200 "Hello /" guarded=
	// dialled tcp
}

// runMain runs the program of an extension with an app and an environment like a pod's.
func runMain(options ...sidecar.Option) (get func(path, token string) string, stop func()) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "Hello "+r.URL.Path)
	}))
	_, appPort, _ := net.SplitHostPort(app.Listener.Addr().String())
	port := freePort()
	env := map[string]string{
		"CONTAINER_CONCURRENCY": "10", "QUEUE_SERVING_PORT": port, "USER_PORT": appPort,
		"REVISION_TIMEOUT_SECONDS": "10", "REVISION_RESPONSE_START_TIMEOUT_SECONDS": "0", "SERVING_LOGGING_CONFIG": "", "SERVING_LOGGING_LEVEL": "",
		"SERVING_NAMESPACE": "default", "SERVING_CONFIGURATION": "", "SERVING_REVISION": "hello-00001",
		"SERVING_POD": "hello-00001-abc", "SERVING_POD_IP": "127.0.0.1",
		"SLUICE_BIND_ADDRESS": "127.0.0.1", "SLUICE_ADMIN_PORT": "0", "SLUICE_STATS_PORT": "0", "SLUICE_DRAIN_QUIET": "1ms",
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- sidecar.Main(ctx, append(options, sidecar.WithStderr(io.Discard),
			sidecar.WithEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok }))...)
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get = func(path, token string) string {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			req, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+path, nil)
			req.Header.Set("X-Token", token)
			resp, err := client.Do(req)
			if err != nil && time.Now().Before(deadline) {
				continue // it does not listen yet
			}
			if err != nil {
				return err.Error()
			}
			defer func() { _ = resp.Body.Close() }()
			body, _ := io.ReadAll(resp.Body)
			return fmt.Sprintf("%d %q guarded=%s", resp.StatusCode, body, resp.Header.Get("X-Guarded"))
		}
	}
	return get, func() {
		cancel()
		if err := <-ended; err != nil {
			fmt.Println(err)
		}
		app.Close()
	}
}

func freePort() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
