package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// service describes a manifest for e2e/app. The zero value is a service "app" without a limit.
type service struct {
	name        string // default app
	revision    string // the template's name
	concurrency int
	timeout     int    // timeoutSeconds
	probe       string // the readinessProbe, in YAML's flow style
	portName    string
	traffic     string            // the traffic block, in YAML's flow style
	annotations map[string]string // those without a prefix are of autoscaling.knative.dev/
	env         map[string]string
}

func (s service) yaml(dir string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("---\napiVersion: serving.knative.dev/v1\nkind: Service")
	line("metadata:\n  name: %s\nspec:\n  template:", cmp.Or(s.name, "app"))
	if s.revision != "" || s.annotations != nil {
		line("    metadata:")
	}
	if s.revision != "" {
		line("      name: %s", s.revision)
	}
	if s.annotations != nil {
		line("      annotations:")
	}
	for _, name := range slices.Sorted(maps.Keys(s.annotations)) {
		full := name
		if !strings.Contains(name, "/") {
			full = "autoscaling.knative.dev/" + name
		}
		line("        %s: %q", full, s.annotations[name])
	}
	line("    spec:")
	line("      containerConcurrency: %d", s.concurrency)
	if s.timeout > 0 {
		line("      timeoutSeconds: %d", s.timeout)
	}
	line("      containers:\n      - image: e2e.test/app\n        command: [%q]", filepath.Join(dir, "app"))
	if s.portName != "" {
		line("        ports: [{name: %s, containerPort: 8080}]", s.portName)
	}
	if s.probe != "" {
		line("        readinessProbe: %s", s.probe)
	}
	line("        env:\n        - {name: APP_DIR, value: %q}", dir)
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		line("        - {name: %s, value: %q}", name, s.env[name])
	}
	if s.traffic != "" {
		line("  traffic: %s", s.traffic)
	}
	return b.String()
}
