package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
)

// TestKubernetes runs the activator as in a pod of Knative. A request waits until the API server publishes a revision's first
// pod, and changes of the ConfigMaps take effect.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	api := startAPIServer(t, nil)
	p := onKubernetes(t, api, "-drain", "100ms")
	p.ready(t)
	api.revision()
	h1, addr := client(t, false), p.addresses("requests")[0]

	held := make(chan string, 1)
	await(t, "the request to be held", func() bool {
		go func() { s, b, err := get(h1, addr); held <- fmt.Sprint(s, b, err) }()
		select {
		case r := <-held: // the revision isn't known yet
			if !strings.HasPrefix(r, "404") {
				t.Fatal(r)
			}
			return false
		case <-time.After(100 * time.Millisecond):
			return true
		}
	})
	api.pods(t, sidecar(t, ""))
	if r := <-held; r != "200HTTP/1.1 hello by hello.default.svc.cluster.local/<nil>" {
		t.Error(r)
	}

	t.Run("log", func(t *testing.T) {
		api.configMap("config-logging", map[string]string{"loglevel.activator": "loud"})
		await(t, "the warning", func() bool { return p.says(`loglevel.activator is \"loud\" and is ignored`) })
		api.configMap("config-logging", map[string]string{
			"loglevel.activator": "info",
			"zap-logger-config":  `{"level": "error", "outputPaths": ["stdout"], "errorOutputPaths": ["stderr"], "encoding": "json"}`,
		})
		await(t, "the log on stdout", func() bool { return p.prints(`"message":"logging"`) })
		api.configMap("config-logging", map[string]string{"loglevel.activator": "debug"})
		await(t, "the level", func() bool { return p.says(`"level":"debug"`) })
		api.configMap("config-logging", map[string]string{"zap-logger-config": `{"level":"info"`, "loglevel.activator": "info"})
		await(t, "the warning", func() bool { return p.says("zap-logger-config is not the JSON of a zap configuration") })
	})
	t.Run("metrics", func(t *testing.T) {
		api.configMap("config-observability", map[string]string{"metrics-protocol": "prometheus", "metrics-endpoint": "127.0.0.1:0"})
		await(t, "metrics", func() bool { return len(p.addresses("metrics")) == 1 })
		page := "http://" + p.addresses("metrics")[0] + "/metrics"
		resp, err := h1.Get(page)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		want := `http_server_request_duration_seconds_count{http_response_status_code="200",k8s_namespace_name="default",kn_configuration_name="conf",kn_revision_name="hello",kn_service_name="hi"} 1`
		if b := text(t, resp); !strings.Contains(b, want) {
			t.Errorf("metrics:\n%s", b)
		}
		api.configMap("config-observability", map[string]string{"metrics-protocol": "smoke signals"})
		await(t, "the warning", func() bool { return p.says("smoke signals") })
		if resp, err := h1.Get(page); err != nil {
			t.Errorf("a bad value ended the metrics: %v", err)
		} else {
			_ = resp.Body.Close()
		}
		api.configMap("config-observability", nil)
		await(t, "the end of metrics", func() bool {
			resp, err := client(t, false).Get(page)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err != nil
		})
	})
	t.Run("pushed metrics", func(t *testing.T) {
		pushed := make(chan string, 100)
		collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			pushed <- r.URL.Path + " " + string(b)
		}))
		defer collector.Close()
		api.configMap("config-observability", map[string]string{
			"metrics-protocol": "http/protobuf", "metrics-endpoint": collector.URL + "/v1/metrics", "metrics-export-interval": "50ms",
		})
		await(t, "an export", func() bool {
			got := <-pushed
			return strings.HasPrefix(got, "/v1/metrics ") && strings.Contains(got, "http.server.request.duration") &&
				strings.Contains(got, "service.name") && strings.Contains(got, "activator-1")
		})
		api.configMap("config-observability", nil)
		await(t, "the end of exports", func() bool { // the last one comes at the end
			select {
			case <-pushed:
				return false
			case <-time.After(200 * time.Millisecond):
				return true
			}
		})
	})
	t.Run("traces", func(t *testing.T) {
		api.configMap("config-observability", map[string]string{"tracing-protocol": "stdout", "tracing-sampling-rate": "1"})
		await(t, "a span", func() bool {
			_, _, _ = get(h1, addr, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			return p.prints("0af7651916cd43dd8448eb211c80319c")
		})
	})
	t.Run("profiles", func(t *testing.T) {
		status := func() int {
			resp, err := h1.Get("http://" + p.addresses("profiling")[0] + "/debug/pprof/cmdline")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		if s := status(); s != 404 {
			t.Errorf("off: %d", s)
		}
		api.configMap("config-observability", map[string]string{"runtime-profiling": "enabled"})
		await(t, "profiles", func() bool { return status() == 200 })
		api.configMap("config-observability", nil)
		await(t, "no profiles", func() bool { return status() == 404 })
	})
	t.Run("request log", func(t *testing.T) {
		api.configMap("config-observability", map[string]string{
			"logging.enable-request-log":   "true",
			"logging.request-log-template": `{{.Request.Method}} {{.Revision.Namespace}} {{.Revision.Name}} {{.Revision.Service}} {{.Revision.Configuration}} {{.Response.Code}}`,
		})
		await(t, "a line", func() bool {
			_, _, _ = get(h1, addr)
			return p.prints("GET default hello hi conf 200\n")
		})
	})
	t.Run("network", func(t *testing.T) {
		api.configMap("config-network", map[string]string{"mesh-compatibility-mode": "disabled"})
		await(t, "the warning", func() bool { return p.says("config-network has changed; the change takes effect at the next start") })
	})
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestWithoutAPIServer checks that the start waits for the API server and logs the reason. Once started, the activator serves
// the revisions that it has read while the API server is down.
func TestWithoutAPIServer(t *testing.T) {
	t.Parallel()
	api := newAPIServer()
	server := freeAddr(t)
	api.write(t, server)
	p := onKubernetes(t, api, "-drain", "0s")
	want := "ConfigMaps and Secrets of namespace knative-serving have not been read yet from the API server at http://" + server
	if s, why := p.readiness(t); s != 500 || why != "HTTP/1.1 "+want+"\n" {
		t.Errorf("%d %s", s, why)
	}
	if s, _, err := get(client(t, false), p.addresses("requests")[0]); s != 503 {
		t.Errorf("a request: %d %v", s, err)
	}
	if s := livez(t, p.addresses("requests")[0]); s != 200 {
		t.Errorf("it doesn't live: %d", s)
	}
	await(t, "the reason in the log", func() bool { return p.says(want) })

	api.revision()
	api.pods(t, sidecar(t, ""))
	stop := api.serve(t, listenOn(t, server))
	p.ready(t)
	h1 := client(t, false)
	await(t, "an answer", func() bool { s, _, _ := get(h1, p.addresses("requests")[0]); return s == 200 })
	stop()
	for range 20 {
		if s, b, err := get(h1, p.addresses("requests")[0]); s != 200 {
			t.Fatalf("without the API server: %d %s %v", s, b, err)
		}
	}
	if s, why := p.readiness(t); s != 200 {
		t.Errorf("without the API server: %d %s", s, why)
	}
}

func livez(t *testing.T, addr string) (status int) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+activator.LivePath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "kube-probe/1.35")
	resp, err := client(t, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestSignalWhileWaiting checks that a signal ends a start that waits.
func TestSignalWhileWaiting(t *testing.T) {
	t.Parallel()
	api := newAPIServer()
	api.write(t, freeAddr(t))
	p := onKubernetes(t, api)
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 || time.Since(begin) > 5*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(begin))
	}
}

// TestWrongNetwork checks that the activator doesn't start with a malformed setting of TLS.
func TestWrongNetwork(t *testing.T) {
	t.Parallel()
	api := startAPIServer(t, map[string]string{"system-internal-tls": "on"})
	p := onKubernetes(t, api)
	await(t, "the reason", func() bool {
		s, why := p.readiness(t)
		return s == 500 && strings.Contains(why, `config-network: system-internal-tls is "on", expected enabled or disabled`)
	})
	api.configMap("config-network", map[string]string{"system-internal-tls": "disabled"})
	p.ready(t)
	if len(p.addresses("requests over TLS")) != 0 {
		t.Error("TLS is served")
	}
}
