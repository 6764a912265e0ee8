package throttler_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The package needs nothing but the standard library, and nothing of it that would log or speak HTTP.
func TestImportsOnlyStandardLibrary(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	banned := map[string]bool{"log": true, "log/slog": true, "net/http": true}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if path == "github.com/sluice-proxy/sluice/internal/quota" { // which imports nothing else
				continue
			}
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") || banned[path] {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}
