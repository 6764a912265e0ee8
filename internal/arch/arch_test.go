// Package arch has the tests of the module's structure: which package may import which, and what each package must have.
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
	"runtime"
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

// rooms are the rows of the table of packages in docs/architecture.md, with the imports besides the standard library that
// each allows. A name without a dot is one of the module's own packages, any other name is a module.
func rooms(t *testing.T) map[string][]string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "\n| package | what lives there | may import |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	all := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .* \\| ([^|]+) \\|$").FindAllStringSubmatch(table, -1) {
		if all[row[1]] = nil; row[2] != "nothing" {
			all[row[1]] = strings.Split(row[2], ", ")
		}
	}
	return all
}

func TestPackagesImportWhatTheTableSays(t *testing.T) {
	table := rooms(t)
	if len(table) < 50 {
		t.Fatalf("docs/architecture.md has %d packages in its table", len(table))
	}
	all := packages(t)
	for name := range table {
		if _, ok := all[name]; !ok {
			t.Errorf("package %s is in the table of docs/architecture.md and not in the module", name)
		}
	}
	for name, p := range all {
		allowed, ok := table[name]
		if !ok {
			t.Errorf("package %s has no row in the table of docs/architecture.md", name)
			continue
		}
		for _, imp := range p.Imports {
			if !standard(imp) && !slices.ContainsFunc(allowed, func(a string) bool { return within(imp, a) }) {
				t.Errorf("%s imports %s, which docs/architecture.md does not allow", name, imp)
			}
		}
		for _, a := range allowed {
			if runtime.GOOS == "linux" && !slices.ContainsFunc(p.Imports, func(imp string) bool { return within(imp, a) }) {
				t.Errorf("%s does not import %s, which docs/architecture.md allows", name, a)
			}
		}
	}
}

// Only tests use gRPC's own module, as a real peer; it would double the sidecar's size.
func TestBinariesDoNotContainGRPC(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"/cmd/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if strings.Contains(string(out), "google.golang.org/grpc\n") {
		t.Error("a binary links google.golang.org/grpc")
	}
}

// go run compiles all of the quickstart at its first start, so that it links nothing that it doesn't use.
func TestQuickstartIsCompiledQuickly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"/cmd/quickstart").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, module+"/queueproxy") {
		t.Fatalf("the quickstart has no queue-proxy; go list says %s", out)
	}
	for _, unwanted := range []string{
		module + "/queueproxy/sidecar", // its metrics and request log, which a replica's environment never turns on
		module + "/internal/telemetry",
		module + "/internal/requestlog",
		module + "/internal/profiling",
		"github.com/prometheus/client_golang/prometheus/promhttp",
		"runtime/pprof",
		"text/template/parse",
		"go/types",
		"html/template",
		"k8s.io/api",
		"k8s.io/client-go",
		"github.com/cloudevents", // CESQL is broker/internal/cesql; the SDK is its peer in tests
		"github.com/antlr",
	} {
		for _, p := range linked {
			if p == unwanted || strings.HasPrefix(p, unwanted+"/") {
				t.Errorf("the quickstart links %s: it has to do without", p)
			}
		}
	}
}

// The broker, and what it takes to understand events, is no part of what runs beside each pod or in front of it.
func TestDataPlaneDoesNotContainTheBroker(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"/cmd/queue-proxy", module+"/cmd/activator").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, banned := range []string{module + "/broker", "github.com/cloudevents/", "github.com/antlr/"} {
			if strings.HasPrefix(dep, banned) {
				t.Errorf("the queue-proxy or the activator links %s", dep)
			}
		}
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

// Each test that a row of docs/properties.md names exists.
func TestPropertiesHaveTheirTests(t *testing.T) {
	table, err := os.ReadFile("../../docs/properties.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| ([FCQ]?\d+) \|.*\| ([a-z0-9/, -]+) \|$`)
	rows := row.FindAllStringSubmatch(string(table), -1)
	if len(rows) < 70 {
		t.Fatalf("%d rows with tests were found; has the format of the tables changed?", len(rows))
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
