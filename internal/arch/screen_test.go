package arch

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The output of `go doc` for a public package, its comment and its list of symbols, fits on a screen.
func TestGoDocOnOneScreen(t *testing.T) {
	const screen = 60
	own := regexp.MustCompile(`(^|/)internal/|^(bench|cmd|e2e|examples)(/|$)`)
	checked := 0
	for name, p := range packages(t) {
		if len(p.GoFiles) == 0 || own.MatchString(name) {
			continue
		}
		checked++
		out, err := exec.Command("go", "doc", module+"/"+name).Output()
		if err != nil {
			t.Fatalf("go doc %s: %v", name, err)
		}
		if n := strings.Count(string(out), "\n"); n > screen {
			t.Errorf("go doc of %s has %d lines, more than %d", name, n, screen)
		}
	}
	if checked < 10 {
		t.Errorf("%d public packages", checked)
	}
}

// The Example of each part shows how to embed it, is short, and runs as a test.
func TestExamplesAreShort(t *testing.T) {
	const longest = 25
	for _, name := range []string{"throttler", "proxy", "queueproxy", "activator"} {
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, "../../"+name+"/example_test.go", nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(doc.Examples(f), func(e *doc.Example) bool { return e.Name == "" && e.Output != "" }) {
			t.Errorf("%s has no Example with an output that is compared", name)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Name.Name != "Example" {
				continue
			}
			if n := files.Position(fn.Body.Rbrace).Line - files.Position(fn.Body.Lbrace).Line - 1; n > longest {
				t.Errorf("the Example of %s has %d lines, more than %d", name, n, longest)
			}
		}
	}
}
