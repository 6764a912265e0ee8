package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/operations.md has each metric that the proxies register, and no others.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(doc), "\n## Metrics\n")
	if !ok {
		t.Fatal("docs/operations.md has no section Metrics")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	registered := map[string]bool{}
	name := regexp.MustCompile(`"((?:kn|sluice|http)_[a-z_]+)"`)
	for _, pattern := range []string{"../../metrics/*.go", "../../broker/metrics.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			source, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range name.FindAllStringSubmatch(string(source), -1) {
				registered[m[1]] = true
			}
		}
	}
	if len(registered) < 20 {
		t.Fatalf("%d names were found; has the format of registrations changed?", len(registered))
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`((?:kn|sluice|http)_[a-z_]+)`").FindAllStringSubmatch(section, -1) {
		documented[m[1]] = true
		if !registered[m[1]] {
			t.Errorf("docs/operations.md has %s, which is neither a metric nor a label", m[1])
		}
	}
	for m := range registered {
		if !documented[m] {
			t.Errorf("docs/operations.md lacks %s", m)
		}
	}
}
