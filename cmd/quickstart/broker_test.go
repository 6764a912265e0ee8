package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/outputs"
)

// Brokers and triggers of a file run without services: events come, are filtered, have their keys, and fail into another broker.
func TestOnlyBrokers(t *testing.T) {
	got := make(chan string, 10)
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got <- r.URL.Path + " " + r.Header.Get("Ce-Id") + " " + r.Header.Get("Sluice-Key") + r.Header.Get("Ce-Knativeerrorcode"); r.URL.Path == "/fails" {
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer sink.Close()
	var traces outputs.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(&traces, r.Body)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	dir := t.TempDir()
	file := filepath.Join(dir, "events.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const broker = `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: %s}
---
`
	const trigger = `apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: %s, annotations: {sluice.dev/key: subject}}
spec:
  broker: %s
  filter: {attributes: {type: %s}}
  subscriber: {%s}
  delivery: {deadLetterSink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: failed}}}
---
`
	write(fmt.Sprintf(broker, "example-broker") + fmt.Sprintf(broker, "failed") +
		fmt.Sprintf(trigger, "works", "example-broker", "a", "uri: "+sink.URL+"/works") +
		fmt.Sprintf(trigger, "fails", "example-broker", "b", "uri: "+sink.URL+"/fails") +
		fmt.Sprintf(trigger, "failed", "failed", "b", "uri: "+sink.URL+"/failed"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out outputs.Buffer
	ended := make(chan error, 1)
	events := filepath.Join(dir, "events")
	go func() {
		ended <- run(ctx, []string{"broker", "-f", file, "-listen", "127.0.0.1:0", "-dir", events, "-max-event-bytes", "1Ki"}, nil, &out, &out)
	}()
	url := ""
	for deadline := time.Now().Add(time.Minute); strings.Count(out.String(), "trigger") < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it doesn't run: %s", &out)
		}
	}
	if m := regexp.MustCompile(`broker default/example-broker at (http://\S+)/default/example-broker`).FindStringSubmatch(out.String()); m != nil {
		url = m[1]
	}
	for i, kind := range []string{"a", "b"} {
		r, err := http.NewRequest(http.MethodPost, url+"/default/example-broker", strings.NewReader("data"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Ce-Id": {fmt.Sprint(i)}, "Ce-Source": {"s"}, "Ce-Type": {kind}, "Ce-Specversion": {"1.0"}, "Ce-Subject": {"key"}}
		if text := do(t, r, http.StatusAccepted); text != "" {
			t.Errorf("%q", text)
		}
		for _, want := range [][]string{{"/works 0 key"}, {"/fails 1 key", "/failed 1 key410"}}[i] {
			select {
			case text := <-got:
				if text != want {
					t.Errorf("%s, want %s", text, want)
				}
			case <-time.After(time.Minute):
				t.Fatalf("it never came: %s; output %s", want, &out)
			}
		}
	}
	rebound, err := http.NewRequest(http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	rebound.Host = "page.example" // of a page whose name leads to this machine
	if text := do(t, rebound, http.StatusMisdirectedRequest); !strings.Contains(text, "localhost") {
		t.Errorf("%q", text)
	}
	r, err := http.NewRequest(http.MethodPost, url+"/default/example-broker", strings.NewReader(strings.Repeat("x", 1025)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Ce-Id": {"large"}, "Ce-Source": {"s"}, "Ce-Type": {"a"}, "Ce-Specversion": {"1.0"}}
	do(t, r, http.StatusRequestEntityTooLarge)
	if r, err = http.NewRequest(http.MethodPost, url+"//default/example-broker", strings.NewReader("x")); err != nil { // not redirected
		t.Fatal(err)
	}
	r.Header = http.Header{"Ce-Id": {"path"}, "Ce-Source": {"s"}, "Ce-Type": {"a"}, "Ce-Specversion": {"1.0"}}
	do(t, r, http.StatusBadRequest)
	r, err = http.NewRequest(http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := do(t, r, http.StatusOK); !strings.Contains(text, `sluice_broker_events_total{broker="example-broker",namespace="default",result="accepted"} 2`+"\n") {
		t.Errorf("metrics: %s", text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, name := range []string{"sluice-broker", "receive broker:example-broker.default", "send trigger:works.default", "dead-letter trigger:fails.default"} {
		if !strings.Contains(traces.String(), name) {
			t.Errorf("the collector has got no %q", name)
		}
	}

	write(fmt.Sprintf(broker, "example-broker") + fmt.Sprintf(trigger, "t", "example-broker", "a", "ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: hello}"))
	err = run(t.Context(), []string{"broker", "-f", file, "-listen", "127.0.0.1:0", "-dir", events}, nil, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "spec.subscriber: there are brokers only") || !strings.Contains(err.Error(), "spec.delivery.deadLetterSink: there are brokers only") {
		t.Error(err)
	}
	for _, args := range [][]string{{}, {"-f", "-"}, {"-f", file, "-listen", "nowhere"}, {"-f", filepath.Join(dir, "none.yaml")}} {
		if err := run(t.Context(), append([]string{"broker", "-dir", events}, args...), nil, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

func do(t *testing.T, r *http.Request, status int) string {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		t.Fatalf("%s %v %s", response.Status, err, text)
	}
	return string(text)
}
