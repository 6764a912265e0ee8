package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/observability"
)

func TestFromOlder(t *testing.T) {
	type data = map[string]string
	for name, c := range map[string]struct {
		data, want data
		classic    bool
	}{
		"none":             {},
		"nothing":          {data{}, data{}, false},
		"others":           {data{"_example": "x"}, data{"_example": "x"}, false},
		"no backend":       {data{"metrics.backend-destination": "None"}, data{"metrics.backend-destination": "None"}, false},
		"metrics":          {data{"metrics.backend-destination": "Prometheus"}, data{"metrics.backend-destination": "Prometheus", "metrics-protocol": "prometheus"}, true},
		"gone, overruled":  {data{"metrics.backend-destination": "opencensus", "metrics-protocol": "none"}, data{"metrics.backend-destination": "opencensus", "metrics-protocol": "none"}, false},
		"overruled":        {data{"metrics.backend-destination": "prometheus", "metrics-protocol": "none"}, data{"metrics.backend-destination": "prometheus", "metrics-protocol": "none"}, false},
		"profiles":         {data{"profiling.enable": "True"}, data{"profiling.enable": "True", "runtime-profiling": "enabled"}, false},
		"no profiles":      {data{"profiling.enable": "false"}, data{"profiling.enable": "false"}, false},
		"profiles are off": {data{"profiling.enable": "true", "runtime-profiling": "disabled"}, data{"profiling.enable": "true", "runtime-profiling": "disabled"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, classic, err := translateOlder(c.data, 0)
			if !reflect.DeepEqual(got, c.want) || classic != c.classic || err != nil {
				t.Errorf("%v, %v, %v", got, classic, err)
			}
		})
	}
	for _, backend := range []string{"stackdriver", "opencensus", "Smoke"} {
		gone := data{"metrics.backend-destination": backend, "profiling.enable": "true"}
		got, classic, err := translateOlder(gone, 2)
		if err == nil || classic || got["runtime-profiling"] != "enabled" || got["metrics-protocol"] != "" {
			t.Errorf("%s: %v, %v, %v", backend, got, classic, err)
		}
	}
}

func TestOlderTracing(t *testing.T) {
	zipkin := map[string]string{"backend": "zipkin", "zipkin-endpoint": "http://z:9411/api/v2/spans", "sample-rate": "0.5", "debug": "false"}
	want := observability.Exporter{Protocol: observability.Zipkin, Endpoint: "http://z:9411/api/v2/spans", SamplingRate: 0.5, ParentBased: true}
	if e, err := observability.ClassicTracingMap(zipkin); err != nil || !reflect.DeepEqual(e, want) {
		t.Errorf("%+v, %v", e, err)
	}
	zipkin["debug"] = "true"
	if e, err := observability.ClassicTracingMap(zipkin); err != nil || e.SamplingRate != 1 || e.ParentBased {
		t.Errorf("debug: %+v, %v", e, err)
	}
	for _, data := range []map[string]string{nil, {"_example": "backend: zipkin"}, {"backend": "none"}} {
		if e, err := observability.ClassicTracingMap(data); err != nil || e.Protocol != observability.None {
			t.Errorf("%v: %+v, %v", data, e, err)
		}
	}
}

// Errors in config-tracing name its keys, and not the variables that Knative makes of them for the queue-proxy.
func TestC5AMistakeInConfigTracingNamesItsKey(t *testing.T) {
	zipkin := func(key, value string) map[string]string {
		data := map[string]string{"backend": "zipkin", "zipkin-endpoint": "http://z:9411/api/v2/spans"}
		data[key] = value
		return data
	}
	for _, c := range []struct {
		data map[string]string
		want string
	}{
		{zipkin("backend", "stackdriver"), `backend is "stackdriver", expected none or zipkin`},
		{zipkin("zipkin-endpoint", ""), `zipkin-endpoint is "", expected the URL of Zipkin's /api/v2/spans`},
		{zipkin("sample-rate", "2"), `sample-rate is "2", expected a number from 0 to 1`},
		{zipkin("debug", "ja"), `debug is "ja", expected true or false`},
	} {
		if _, err := observability.ClassicTracingMap(c.data); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestOlderConfigMaps checks that keys of Knative 1.2 to 1.18 take effect where today's are missing.
func TestOlderConfigMaps(t *testing.T) {
	t.Parallel()
	spans := make(chan string, 100)
	zipkin := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		select {
		case spans <- r.URL.Path + " " + string(b):
		default:
		}
	}))
	defer zipkin.Close()
	api := startAPIServer(t, nil)
	api.configMap("config-observability", map[string]string{
		"metrics.backend-destination": "prometheus", "profiling.enable": "true", "metrics-endpoint": "127.0.0.1:0",
	})
	api.configMap("config-tracing", map[string]string{
		"backend": "zipkin", "zipkin-endpoint": zipkin.URL + "/api/v2/spans", "sample-rate": "1",
	})
	api.revision()
	api.pods(t, sidecar(t, ""))
	p := onKubernetes(t, api, "-drain", "0s")
	p.ready(t)
	h1, addr := client(t, false), p.addresses("requests")[0]
	await(t, "an answer", func() bool { s, _, _ := get(h1, addr); return s == 200 })

	page := func(purpose, path string) string {
		resp, err := h1.Get("http://" + p.addresses(purpose)[0] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Status + " " + text(t, resp)
	}
	if got := page("metrics", "/metrics"); !strings.Contains(got, "\nactivator_request_count{") {
		t.Errorf("metrics:\n%s", got)
	}
	if got := page("profiling", "/debug/pprof/cmdline"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("profiles: %s", got)
	}
	if got := <-spans; !strings.HasPrefix(got, "/api/v2/spans [") {
		t.Errorf("spans: %s", got)
	}
	api.configMap("config-observability", map[string]string{"tracing-protocol": "stdout", "tracing-sampling-rate": "1"})
	await(t, "a span where today's key says", func() bool {
		_, _, _ = get(h1, addr, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		return p.prints("0af7651916cd43dd8448eb211c80319c")
	})
	api.configMap("config-observability", map[string]string{"metrics.backend-destination": "stackdriver", "profiling.enable": "true"})
	await(t, "the warning", func() bool {
		return p.says(`metrics.backend-destination is \"stackdriver\", expected none or prometheus`)
	})
	if got := page("profiling", "/debug/pprof/cmdline"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("the valid settings beside it aren't used: %s", got)
	}
	api.configMap("config-tracing", map[string]string{"backend": "stackdriver"})
	api.configMap("config-observability", nil)
	await(t, "the warning", func() bool { return p.says(`backend is \"stackdriver\"`) })
}
