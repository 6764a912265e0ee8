package arch

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// Each row of the contract's table names tests that exist, or has "none yet".
func TestContractHasItsTests(t *testing.T) {
	doc, err := os.ReadFile("../../docs/knative.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "\n## The contract\n")
	if !ok {
		t.Fatal("docs/knative.md has no contract")
	}
	row := regexp.MustCompile(`(?m)^\| (.+) \| (q|a|q, a) \| (.+) \| (.+) \|$`)
	shown := regexp.MustCompile("^`([A-Za-z0-9/]+)` ([a-z0-9/-]+)$")
	rows := row.FindAllStringSubmatch(table, -1)
	if len(rows) < 110 || len(rows) != strings.Count(table, "\n| ")-strings.Count(table, "\n| statement ") {
		t.Fatalf("%d rows were found; has the format of the table changed?", len(rows))
	}
	for _, r := range rows {
		statement, status, tests := r[1], r[3], r[4]
		if word := regexp.MustCompile(`^(as Knative|differs: .|missing)`); !word.MatchString(status) {
			t.Errorf("%s: status %q", statement, status)
		}
		if tests == "none yet" {
			continue
		}
		for item := range strings.SplitSeq(tests, ", ") {
			m := shown.FindStringSubmatch(item)
			if m == nil {
				t.Errorf("%s: %q names no test", statement, item)
				continue
			}
			if !hasTest(t, m[1], m[2]) {
				t.Errorf("%s: there is no %s", statement, item)
			}
		}
	}
}

// hasTest reports whether a package has a test of that name; in proxytest it is a case of the table.
func hasTest(t *testing.T, name, in string) bool {
	t.Helper()
	if in == "proxytest" {
		return mentions(t, "../../proxy/proxytest", `"`+path.Base(name)+`"`)
	}
	return mentions(t, "../../"+in, `(?m)^func `+name+`\(`)
}

// The images fit Knative's pod specs, which name no command, and run an image as a user other than root.
func TestImages(t *testing.T) {
	file, err := os.ReadFile("../../config/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Split(string(file), "\nFROM ")
	if base := stages[len(stages)-3]; !strings.HasPrefix(base, "scratch ") || !strings.Contains(base, "\nUSER 65532:65532\n") {
		t.Errorf("the base is\n%s", base)
	}
	for i, name := range []string{"activator", "queue-proxy"} {
		stage := stages[len(stages)-2+i]
		if !strings.HasPrefix(stage, "base AS "+name+"\n") || !strings.Contains(stage, "\nENTRYPOINT [\"/ko-app/"+name+"\"]\n") ||
			strings.Contains(stage, "\nUSER ") {
			t.Errorf("the image is\n%s", stage)
		}
	}
}
