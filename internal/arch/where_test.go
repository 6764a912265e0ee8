package arch

import (
	"os"
	"regexp"
	"testing"
)

// Each row of docs/where.md names files and a test that exist.
func TestWhereIsTrue(t *testing.T) {
	doc, err := os.ReadFile("../../docs/where.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| [^|]+ \\| ([^|]+) \\| `([A-Za-z0-9]+)` ([a-z0-9/-]+) \\|$").FindAllStringSubmatch(string(doc), -1)
	if len(rows) < 25 {
		t.Fatalf("%d rows were found; has the format of the table changed?", len(rows))
	}
	for _, row := range rows {
		for _, file := range regexp.MustCompile("`([^`]+\\.go)`").FindAllStringSubmatch(row[1], -1) {
			if _, err := os.Stat("../../" + file[1]); err != nil {
				t.Error(err)
			}
		}
		if !hasTest(t, row[2], row[3]) {
			t.Errorf("there is no %s %s", row[2], row[3])
		}
	}
}
