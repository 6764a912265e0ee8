package cesql

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// tckCase is one of CESQL's conformance suite.
type tckCase struct {
	file, Name, Expression, Error string
	Result                        yaml.Node
	Event, EventOverrides         map[string]yaml.Node
}

// readTCK reads the suite of the SDK's module.
func readTCK(t testing.TB) (all []tckCase) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cloudevents/sdk-go/sql/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "test/tck/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var suite struct{ Tests []tckCase }
		// The suite's field is eventOverrides, and yaml takes lower-case names.
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), "eventOverrides:", "eventoverrides:")), &suite); err != nil {
			t.Fatal(err)
		}
		for _, c := range suite.Tests {
			c.file = filepath.Base(file)
			all = append(all, c)
		}
	}
	if len(all) < 200 {
		t.Fatalf("%d cases were found, of about 250", len(all))
	}
	return all
}

// attributes are those of an event in a test.
type attributes map[string]string

func (a attributes) Attribute(name string) (string, bool) {
	value, ok := a[name]
	return value, ok
}

// with are the required attributes, and others.
func with(others attributes) attributes {
	all := attributes{"specversion": "1.0", "id": "1", "source": "/", "type": "t"}
	maps.Copy(all, others)
	return all
}

func (c *tckCase) attributes() attributes {
	all := attributes{}
	for _, given := range []map[string]yaml.Node{c.Event, c.EventOverrides} {
		for name, value := range given {
			all[name] = value.Value
		}
	}
	return with(all)
}

// result is the value that a case wants, also with an error.
func (c *tckCase) result(t *testing.T) Value {
	t.Helper()
	switch c.Result.ShortTag() {
	case "!!int":
		var n int32
		if err := c.Result.Decode(&n); err != nil {
			t.Fatal(err)
		}
		return ofInt(n)
	case "!!bool":
		return ofBool(strings.EqualFold(c.Result.Value, "true"))
	}
	return ofText(c.Result.Value)
}

func TestTCK(t *testing.T) {
	kinds := map[string]error{
		"parse": ErrParse, "math": ErrMath, "cast": ErrCast, "missingAttribute": ErrMissingAttribute, "missingFunction": ErrMissingFunction,
		"functionEvaluation": ErrFunctionEvaluation,
	}
	// HTTP's binary mode has no types, so that the broker has none: these attributes are cast where an expression needs it.
	untyped := map[string]string{"Access to optional boolean extension": "true", "Access to optional integer extension": "10"}
	for _, c := range readTCK(t) {
		t.Run(c.file+"/"+c.Name, func(t *testing.T) {
			x, err := Compile(c.Expression)
			if c.Error == "parse" || c.Error == "missingFunction" { // which is found early
				if !errors.Is(err, kinds[c.Error]) {
					t.Fatalf("%s: error %v, want %s", c.Expression, err, c.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Evaluate(c.attributes())
			if c.Error == "" && err != nil || c.Error != "" && (kinds[c.Error] == nil || !errors.Is(err, kinds[c.Error])) {
				t.Fatalf("%s: error %v, want %s", c.Expression, err, c.Error)
			}
			want := c.result(t)
			if untyped[c.Name] != "" {
				want = ofText(untyped[c.Name])
			}
			if got != want {
				t.Errorf("%s: %#v, want %#v", c.Expression, got, want)
			}
		})
	}
}
