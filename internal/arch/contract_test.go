package arch

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// Each row of the contract's table names tests that exist, or has "none yet".
func TestContractHasItsTests(t *testing.T) {
	rows := contractRows(t, "knative.md", "The contract", `^\| (.+) \| (?:q|a|q, a) \| (.+) \| (.+) \|$`)
	if len(rows) < 110 {
		t.Fatalf("%d rows were found; has the format of the table changed?", len(rows))
	}
	for _, r := range rows {
		statement, status, tests := r[1], r[2], r[3]
		if word := regexp.MustCompile(`^(as Knative|differs: .|missing)`); !word.MatchString(status) {
			t.Errorf("%s: status %q", statement, status)
		}
		hasTests(t, statement, tests)
	}
}

// The same for the statements of Knative Eventing's specification, which are numbered by their documents: no number is missing, or there twice.
func TestEventingHasItsTests(t *testing.T) {
	const level = `(?:MUST|MUST NOT|SHOULD|SHOULD NOT|REQUIRED|RECOMMENDED)`
	rows := contractRows(t, "events.md", "Conformance", `^\| ([A-E][0-9, A-E]+) \| .+ \| `+level+`(?:, `+level+`)* \| ((?:met|differs: .|not served: .).*) \| (.+) \|$`)
	numbers := map[string]bool{}
	of := map[byte]int{}
	for _, r := range rows {
		for number := range strings.SplitSeq(r[1], ", ") {
			if numbers[number] {
				t.Errorf("%s is there twice", number)
			}
			numbers[number] = true
			of[number[0]]++
		}
		hasTests(t, r[1], r[3])
	}
	for document, n := range map[byte]int{'D': 26, 'C': 48, 'B': 29, 'E': 11} {
		if of[document] != n || !numbers[fmt.Sprintf("%c%d", document, n)] {
			t.Errorf("%c has %d statements, should have 1 to %d", document, of[document], n)
		}
	}
}

// contractRows returns the rows of the tables in a section of a document. Each has to have the form.
func contractRows(t *testing.T, doc, section, form string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + doc)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("docs/%s has no section %s", doc, section)
	}
	var rows [][]string
	row := regexp.MustCompile(form)
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasSuffix(line, " | shown by |") {
			continue
		}
		r := row.FindStringSubmatch(line)
		if r == nil {
			t.Errorf("docs/%s: not a row of the table: %s", doc, line)
			continue
		}
		rows = append(rows, r)
	}
	return rows
}

var shownBy = regexp.MustCompile("^`([A-Za-z0-9/]+)` ([a-z0-9/-]+)$")

// hasTests checks that the tests which show a statement exist.
func hasTests(t *testing.T, statement, tests string) {
	t.Helper()
	if tests == "none yet" {
		return
	}
	for item := range strings.SplitSeq(tests, ", ") {
		m := shownBy.FindStringSubmatch(item)
		if m == nil {
			t.Errorf("%s: %q names no test", statement, item)
			continue
		}
		if !hasTest(t, m[1], m[2]) {
			t.Errorf("%s: there is no %s", statement, item)
		}
	}
}

// hasTest reports whether a package has a test of that name, or a test with that sub-test; in proxytest it is a case of the table.
func hasTest(t *testing.T, name, in string) bool {
	t.Helper()
	if in == "proxytest" {
		return mentions(t, "../../proxy/proxytest", `"`+path.Base(name)+`"`)
	}
	name, part, ok := strings.Cut(name, "/")
	return mentions(t, "../../"+in, `(?m)^func `+name+`\(`) && (!ok || mentions(t, "../../"+in, `"`+part+`"`))
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
