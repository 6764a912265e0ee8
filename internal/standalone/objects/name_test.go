package objects

import (
	"strings"
	"testing"
)

// The names are those of Knative's own function.
func TestChildName(t *testing.T) {
	for _, c := range [][3]string{
		{"hello-00001", "-deployment", "hello-00001-deployment"},
		{strings.Repeat("a", 52), "-deployment", strings.Repeat("a", 52) + "-deployment"},
		{strings.Repeat("a", 53), "-deployment", strings.Repeat("a", 20) + "e9e7e260dce84ffa6e0e7eb5fd9d37fc-deployment"},
		{"hello", "-" + strings.Repeat("b", 70), "hello7b0152f889e3b4f2b8e5c005c3d3e1fa-" + strings.Repeat("b", 25)},
		{strings.Repeat("c", 40), "-" + strings.Repeat("d", 30), strings.Repeat("c", 31) + "2e0a5dfecb949515e65c6dd3b04ef95c"},
	} {
		if got := childName(c[0], c[1]); got != c[2] {
			t.Errorf("childName(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
