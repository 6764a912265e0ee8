// Package arch holds the tests of the module's structure: which package may import which, and what each must have.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-proxy/sluice"

type pkg struct {
	ImportPath, Doc string
	Standard        bool
	GoFiles         []string
	Imports         []string
	TestGoFiles     []string
	XTestGoFiles    []string
}

// packages lists the module's own packages.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Standard,GoFiles,Imports,TestGoFiles,XTestGoFiles", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, module+"/")] = p
	}
}

// rooms says what a package may import besides the standard library: prefixes, where a name without a dot is one of
// the module's own packages. docs/architecture.md has the same table with the reasons.
var rooms = map[string][]string{
	"throttler":          {"internal/quota"},
	"proxy":              {"proxy/internal/h1", "internal/quota", "golang.org/x/net", "golang.org/x/sys"},
	"proxy/internal/h1":  {},
	"metrics":            {"metrics/statpb", "github.com/prometheus/client_golang", "github.com/prometheus/client_model", "google.golang.org/protobuf", "github.com/coder/websocket"},
	"metrics/statpb":     {"google.golang.org/protobuf"},
	"internal/knative":   {},
	"internal/filewatch": {},

	"internal/observability": {},
	"internal/logging":       {"internal/logpace", "go.uber.org/zap"},
	"internal/logpace":       {},
	"internal/refused":       {"proxy", "internal/logpace", "go.uber.org/zap"},
	"internal/requestlog":    {"proxy", "internal/knative", "internal/logpace", "internal/template"},
	"internal/template":      {},
	"internal/profiling":     {},
	"internal/heap":          {},
	"internal/procs":         {"internal/cgroup"},
	"internal/cgroup":        {},
	"internal/orphans":       {},
	"internal/shutdown":      {},
	"internal/limits":        {"proxy", "internal/memlimit"},
	"internal/quota":         {},
	"internal/memlimit":      {"internal/cgroup"},
	"internal/tracing":       {"proxy", "metrics/otlp", "internal/knative", "internal/observability"},
	"metrics/otlp": {
		"github.com/prometheus/client_golang", "github.com/prometheus/client_model", "google.golang.org/protobuf",
	},
	"internal/podtls": {},
	"queueproxy": {
		"throttler", "proxy", "metrics", "internal/knative", "internal/filewatch", "internal/limits", "internal/logging", "internal/logpace", "internal/quota",
		"internal/profiling", "internal/refused", "go.uber.org/zap", "golang.org/x/sync", "golang.org/x/sys", "github.com/prometheus/client_golang",
		"google.golang.org/protobuf",
	},
	"queueproxy/sidecar": {
		"queueproxy", "proxy", "metrics", "metrics/otlp", "internal/knative", "internal/limits", "internal/logging", "internal/observability", "internal/requestlog",
		"internal/tracing", "go.uber.org/zap", "github.com/prometheus/client_golang",
	},
	"activator": {
		"throttler", "proxy", "metrics", "metrics/statpb", "internal/knative", "internal/logpace", "internal/quota", "internal/refused", "go.uber.org/zap",
		"golang.org/x/sync", "github.com/prometheus/client_golang",
	},
	"internal/kube": {
		"activator", "throttler", "proxy", "internal/knative", "go.uber.org/zap", "github.com/go-logr",
		"k8s.io/api", "k8s.io/apimachinery", "k8s.io/client-go", "k8s.io/klog",
	},
	"activator/static": {
		"activator", "throttler", "proxy", "internal/filewatch", "go.uber.org/zap", "go.yaml.in/yaml/v3",
	},
}

func TestPackagesImportOnlyWhatTheirRoomAllows(t *testing.T) {
	all := packages(t)
	for name, allowed := range rooms {
		p, ok := all[name]
		if !ok {
			t.Errorf("package %s is in the table and not in the module", name)
			continue
		}
		for _, imp := range p.Imports {
			if standard(imp) || slices.ContainsFunc(allowed, func(a string) bool { return within(imp, a) }) {
				continue
			}
			t.Errorf("%s imports %s, which its room does not allow", name, imp)
		}
	}
}

// gRPC's own module serves the tests as a real peer; it would double the sidecar's size.
func TestBinariesDoNotContainGRPC(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"/cmd/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if strings.Contains(string(out), "google.golang.org/grpc\n") {
		t.Error("a binary links google.golang.org/grpc")
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	for name, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("package %s has no package comment", name)
		}
		if slices.Contains([]string{"util", "utils", "common", "handler", "helpers", "misc"}, path.Base(name)) {
			t.Errorf("package %s: name a package after what it provides", name)
		}
	}
}

func TestLeakChecks(t *testing.T) {
	for name, p := range packages(t) {
		tests := slices.Concat(p.TestGoFiles, p.XTestGoFiles)
		if len(tests) > 0 && len(p.GoFiles) > 0 && !slices.Contains(tests, "main_test.go") {
			t.Errorf("package %s has tests and no main_test.go with a leak check", name)
		}
	}
}

func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

func within(imp, allowed string) bool {
	if standard(allowed) {
		return imp == module+"/"+allowed
	}
	return imp == allowed || strings.HasPrefix(imp, allowed+"/")
}

// Each row of docs/properties.md that names tests has them.
func TestPropertiesHaveTheirTests(t *testing.T) {
	table, err := os.ReadFile("../../docs/properties.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| ([FCQ]?\d+) \|.*\| ([a-z0-9/, -]+) \|$`)
	rows := row.FindAllStringSubmatch(string(table), -1)
	if len(rows) < 70 {
		t.Fatalf("%d rows with tests: are the tables as this test reads them?", len(rows))
	}
	for _, r := range rows {
		for place := range strings.SplitSeq(r[2], ", ") {
			dir := "../../" + strings.NewReplacer("proxytest", "proxy/proxytest", "ingress", "internal/standalone/ingress").Replace(place)
			id := r[1]
			if id[0] <= '9' {
				id = "Peers" + id
			}
			if !mentions(t, dir, `\bTest`+id+`[A-Z]|"`+id+`[A-Z]`) {
				t.Errorf("%s: no test of that name in %s", id, place)
			}
		}
	}
}

func mentions(t *testing.T, dir, pattern string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(pattern)
	return slices.ContainsFunc(files, func(name string) bool {
		text, err := os.ReadFile(name)
		return err == nil && re.Match(text)
	})
}
