package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
	"github.com/sluice-proxy/sluice/internal/outputs"
)

// Scripts ask the running quickstart for its services and for what its apps write, until it ends.
func TestStatusAndLogs(t *testing.T) {
	binary, port := build(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "s.yaml")
	const manifest = `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: hello}
spec:
  template:
    metadata: {name: hello-a, annotations: {autoscaling.knative.dev/min-scale: "1"}}
    spec: {containers: [{image: ghcr.io/knative/helloworld-go}]}
  traffic: [{latestRevision: true, percent: 100, tag: now}]
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: broken, namespace: shop}
spec: {template: {metadata: {annotations: {autoscaling.knative.dev/min-scale: "1"}}, spec: {containers: [{command: [sh, -c, "echo no database >&2; exit 7"]}]}}}
`
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	var out outputs.Buffer
	cmd := exec.Command(binary, "-f", file, "-port", fmt.Sprint(port), "-state", dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	if err := orphans.StartFor(t, cmd); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	eventually := func(what string, cond func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !cond(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("never: %s; output:\n%s", what, &out)
			}
		}
	}
	eventually("it serves", func() bool {
		return strings.Contains(out.String(), "service hello: ready, latest hello-a, replicas 1/1")
	})

	sub := func(args ...string) (string, error) {
		var b strings.Builder
		err := run(t.Context(), append(args, "-state", dir), nil, &b, io.Discard)
		return b.String(), err
	}
	text, err := sub("status", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Services []serviceStatus }
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Services) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	hello, host := got.Services[0], fmt.Sprintf("hello.default.localhost:%d", port)
	if want := fmt.Sprintf("{default hello http://%s ready  hello-a [{hello-a 100 [{now http://now-%s}] ready  1 1}]}", host, host); fmt.Sprint(hello) != want {
		t.Errorf("got  %v\nwant %s", hello, want)
	}
	eventually("the broken one is not ready", func() bool {
		text, err := sub("status")
		return err == nil && strings.Contains(text, "shop/broken") && strings.Contains(text, "broken-00001  100%") && strings.Contains(text, "not ready") &&
			strings.Contains(text, "no database")
	})
	if text, err := sub("logs", "hello", "-tail", "1"); err != nil || strings.Count(text, "\n") != 1 || !strings.Contains(text, " | helloworld: listening on ") {
		t.Errorf("%q, %v", text, err)
	}
	for want, args := range map[string][]string{
		`services.serving.knative.dev "nobody" not found`: {"logs", "nobody"},
		"-o should be json":                 {"status", "-o", "xml"},
		`unexpected argument "b"`:           {"logs", "a", "b"},
		"flag provided but not defined: -x": {"status", "-x"},
	} {
		if _, err := sub(args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", args, err)
		}
	}

	var followed outputs.Buffer
	ended := make(chan error, 1)
	go func() {
		ended <- run(context.Background(), []string{"logs", "-f", "-state", dir}, nil, &followed, io.Discard)
	}()
	eventually("the log of the first", func() bool { return strings.Contains(followed.String(), "hello-a-1-") })
	later := strings.NewReplacer("name: hello}", "name: later}", "hello-a", "later-a", "name: broken", "name: other").Replace(manifest)
	if err := os.WriteFile(filepath.Join(dir, "s.yaml"), []byte(manifest+"---\n"+later), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually("the log of one that starts", func() bool { return strings.Contains(followed.String(), "later-a-1-") })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := sub("status"); err == nil || !strings.HasPrefix(err.Error(), "no quickstart runs that has written "+dir) {
		t.Error(err)
	}
}

func TestSubcommandsHelp(t *testing.T) {
	for name := range subcommands {
		var b strings.Builder
		if err := run(t.Context(), []string{name, "-help"}, nil, io.Discard, &b); !errors.Is(err, flag.ErrHelp) || !strings.HasPrefix(b.String(), "Usage: quickstart "+name+" [") {
			t.Errorf("%s: %v, %q", name, err, &b)
		}
	}
}
