package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Keys of log lines are camelCase, except Knative's own.
func TestKeysOfLogLines(t *testing.T) {
	field := regexp.MustCompile(`zap\.[A-Z][A-Za-z0-9]*\("([^"]+)"`)
	key := regexp.MustCompile(`^([a-z][A-Za-z0-9]*|knative\.dev/[a-z]+)$`)
	n := 0
	for dir, p := range packages(t) {
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join("../..", dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range field.FindAllStringSubmatch(string(text), -1) {
				if n++; !key.MatchString(m[1]) {
					t.Errorf("%s/%s: the key %q is not camelCase", dir, file, m[1])
				}
			}
		}
	}
	if n < 40 {
		t.Errorf("%d fields were found; has their format changed?", n)
	}
}
