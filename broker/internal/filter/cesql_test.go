package filter

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	sqlerrors "github.com/cloudevents/sdk-go/sql/v2/errors"
	"go.yaml.in/yaml/v3"
)

// CESQL's conformance suite (TCK), in the SDK's module.
func TestTCK(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cloudevents/sdk-go/sql/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "test/tck/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	isKind := map[string]func(error) bool{
		"math": sqlerrors.IsMathError, "cast": sqlerrors.IsCastError, "missingAttribute": sqlerrors.IsMissingAttributeError,
		"functionEvaluation": sqlerrors.IsFunctionEvaluationError, "generic": sqlerrors.IsGenericError,
	}
	// HTTP's binary mode has no types, so that the broker has none: these attributes are cast where an expression needs it.
	untyped := map[string]string{"Access to optional boolean extension": "true", "Access to optional integer extension": "10"}
	cases := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var suite struct {
			Tests []struct {
				Name, Expression, Error string
				Result                  yaml.Node
				Event, EventOverrides   map[string]yaml.Node
			}
		}
		// The suite's field is eventOverrides, and yaml takes lower-case names.
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), "eventOverrides:", "eventoverrides:")), &suite); err != nil {
			t.Fatal(err)
		}
		for _, test := range suite.Tests {
			cases++
			t.Run(filepath.Base(file)+"/"+test.Name, func(t *testing.T) {
				x, err := parse(test.Expression)
				if test.Error == "parse" || test.Error == "missingFunction" { // which we find early
					if err == nil {
						t.Fatalf("%s is parsed", test.Expression)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				attributes := values{}
				for name, value := range mapsOf(test.Event, test.EventOverrides) {
					attributes[name] = value.Value
				}
				got, err := x.evaluate(&evaluation{event: eventOf(t, attributes)})
				if test.Error != "" {
					if err == nil || !isKind[test.Error](err) {
						t.Fatalf("%s: error %v, want %s", test.Expression, err, test.Error)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				want, ok := any(untyped[test.Name]), untyped[test.Name] != ""
				if !ok {
					want = resultOf(t, &test.Result)
				}
				if got != want {
					t.Errorf("%s: %#v, want %#v", test.Expression, got, want)
				}
			})
		}
	}
	if cases < 200 {
		t.Errorf("%d cases were found, of about 250", cases)
	}
}

func mapsOf(all ...map[string]yaml.Node) map[string]yaml.Node {
	merged := map[string]yaml.Node{}
	for _, m := range all {
		maps.Copy(merged, m)
	}
	return merged
}

func resultOf(t *testing.T, n *yaml.Node) any {
	t.Helper()
	switch n.ShortTag() {
	case "!!int":
		var v int32
		if err := n.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	case "!!bool":
		return n.Value == "true"
	}
	return n.Value
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "mismatched input '<EOF>'"},
		{"a = 'x", "character 5 of line 1: extraneous input"},
		{"a = 1 $", "character 7 of line 1: token recognition error"},
		{"a = 1 1", "character 7 of line 1"},
		{"a = ", "character 5 of line 1"},
		{"a LIKE b", "character 8 of line 1"},
		{"99999999999 = 1", "out of range"},
		{"b = 1 AND a = nothing(a, TRIM(a))", "no function NOTHING with 2 arguments"},
		{"a = '" + strings.Repeat("x", longestExpression) + "'", "an expression may have 4096"},
		{"\xff\xfe", "token recognition error"},
		{strings.Repeat("(", 4000), "character 101 of line 1: parentheses may be 100 deep"},
	} {
		if x, err := parse(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.40q: %v, %v, want %q", test.text, x, err, test.want)
		} else if strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
			t.Errorf("%.40q: the error has more than a short line: %s", test.text, err)
		}
	}
}

// What is as deep as it may be is parsed and evaluated.
func TestDeepExpressions(t *testing.T) {
	e := eventOf(t, values{"a": "true", "b": strings.Repeat("x", 1<<16-1)})
	for name, text := range map[string]string{
		"brackets":  strings.Repeat("(", deepestExpression) + "a" + strings.Repeat(")", deepestExpression),
		"NOT":       strings.Repeat("NOT ", 1022) + "a",
		"minus":     "0 = " + strings.Repeat("-", 4000) + "0",
		"OR":        "a" + strings.Repeat(" OR a", 800),
		"functions": strings.Repeat("TRIM(", deepestExpression) + "a" + strings.Repeat(")", deepestExpression),
		"LIKE":      "b LIKE '%" + strings.Repeat("x", 1000) + "y' OR TRUE",
	} {
		x, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ok, err := x.test(&evaluation{event: e}); !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

// Triggers are compiled while others are, and while events come.
func TestConcurrentUse(t *testing.T) {
	e := eventOf(t, values{"n": "1"})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				x, err := parse(fmt.Sprintf("n = 1 AND %d < %d AND type LIKE 'com.%%' AND NOT EXISTS a%d", i, i+j+1, j))
				if err != nil {
					t.Error(err)
					return
				}
				if ok, err := x.test(&evaluation{event: e}); !ok || err != nil {
					t.Errorf("%v, %v", ok, err)
				}
			}
		})
	}
	all.Wait()
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"a = 1", "NOT (a LIKE 'x%' OR b IN (1, 'y')) AND EXISTS c", "CONCAT_WS('-', a, b)", "-1 % 0", "SUBSTRING(a, -1, 2)", "a = 'x", "+", "1+1", "é"} {
		f.Add(text, "x")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		attributes := values{"a": value, "specversion": "1.0", "id": "1", "source": "/", "type": "t"}
		x, err := parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "gives up") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		e := eventOf(t, nil)
		if e.Set("a", attributes["a"]) != nil {
			return
		}
		if _, err := x.evaluate(&evaluation{event: e}); err != nil && strings.Contains(err.Error(), "gives up") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
