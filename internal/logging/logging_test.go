package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// written returns the JSON that a logger of the configuration writes to stderr for a line at each level, and the error.
func written(t *testing.T, config, level string) (lines []map[string]any, problem string) {
	t.Helper()
	var stderr bytes.Buffer
	log, configErr, levelErr := New(config, level, &stderr)
	log.Debug("a debug line")
	log.Info("an info line", zap.Duration("took", 1500*time.Millisecond))
	log.Warn("a warn line")
	log.Named("part").Error("an error line", zap.Error(errors.New("why")))
	for line := range strings.Lines(stderr.String()) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines = append(lines, m)
	}
	if err := errors.Join(configErr, levelErr); err != nil {
		problem = err.Error()
	}
	return lines, problem
}

func values(lines []map[string]any, key string) (all []any) {
	for _, l := range lines {
		all = append(all, l[key])
	}
	return all
}

// A configuration overrides Knative's defaults; settings that can't be used are reported, and the defaults are used.
func TestC3PartialLoggingConfig(t *testing.T) {
	const notJSON = "is not the JSON of a zap configuration, the defaults are used: "
	const noLogger = "makes no logger, the defaults are used: "
	three, all := []any{"INFO", "WARNING", "ERROR"}, []any{"DEBUG", "INFO", "WARNING", "ERROR"}
	for _, c := range []struct {
		config, level string
		severities    []any
		problem       string // how it begins
	}{
		{"", "", three, ""},
		{"{}", "", three, ""},
		{"null", "", three, ""},
		{`{"level":"info"}`, "", three, ""},
		{`{"level":"warn"}`, "", []any{"WARNING", "ERROR"}, ""},
		{`{"level":"debug"}`, "error", []any{"ERROR"}, ""},
		{`{"level":"error"}`, "debug", all, ""},
		{`{"encoding":"json"}`, "", three, ""},
		{`{"encoderConfig":{}}`, "", three, ""},
		{`{"encoderConfig":{"timeKey":"ts"}}`, "", three, ""},
		{`{"level":null,"sampling":null,"encoderConfig":null}`, "", three, ""},
		{`{"somebody's":"own"}`, "", three, ""},
		{`{`, "", three, notJSON + "unexpected end of JSON input"},
		{`level: info`, "debug", all, notJSON + "invalid character"},
		{`[]`, "", three, notJSON + "json: cannot unmarshal array"},
		{`{"level":"loud"}`, "", three, notJSON + `unrecognized level: "loud"`},
		{`{"outputPaths":"stdout"}`, "", three, notJSON + "json: cannot unmarshal string"},
		// Valid settings before the mistake aren't used either.
		{`{"level":"error","encoding":1}`, "", three, notJSON + "json: cannot unmarshal number"},
		{`{"encoding":"none such"}`, "debug", all, noLogger + `encoding "none such" is neither json nor console`},
		{`{"outputPaths":["/none/such/file"]}`, "", three, noLogger + `open sink "/none/such/file"`},
		{`{"errorOutputPaths":["carrier://pigeon"]}`, "", three, noLogger + `open sink "carrier://pigeon"`},
		{"", "loud", three, `is "loud" and is ignored, expected debug, info, warn or error`},
		{`{"level":"warn"}`, "loud", []any{"WARNING", "ERROR"}, `is "loud" and is ignored`},
	} {
		t.Run(c.config+" "+c.level, func(t *testing.T) {
			lines, problem := written(t, c.config, c.level)
			if got := values(lines, "severity"); !reflect.DeepEqual(got, c.severities) {
				t.Errorf("severities %v, want %v", got, c.severities)
			}
			if !strings.HasPrefix(problem, c.problem) || c.problem == "" && problem != "" {
				t.Errorf("problem %q, want %q", problem, c.problem)
			}
		})
	}
	t.Run("both are reported", func(t *testing.T) {
		if _, problem := written(t, "{", "loud"); strings.Count(problem, "\n") != 1 {
			t.Errorf("%q is not two lines", problem)
		}
	})
}

// The format of a line is that of Knative's own programs, so that all tools for their logs work with ours.
func TestDefaultLines(t *testing.T) {
	lines, _ := written(t, "", "")
	for _, l := range lines {
		at, err := time.Parse(time.RFC3339Nano, l["timestamp"].(string))
		if err != nil || time.Since(at) < 0 {
			t.Errorf("timestamp %v: %v", l["timestamp"], err)
		}
		if caller, _ := l["caller"].(string); !strings.HasPrefix(caller, "logging/logging_test.go:") {
			t.Errorf("caller %q", caller)
		}
		delete(l, "timestamp")
		delete(l, "caller")
	}
	want := []map[string]any{
		{"severity": "INFO", "message": "an info line", "took": "1.5s"},
		{"severity": "WARNING", "message": "a warn line"},
		{"severity": "ERROR", "message": "an error line", "logger": "part", "error": "why"},
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("got  %v\nwant %v", lines, want)
	}
}

// This is the example in Knative's config-logging, the same since 1.2, which operators copy and edit.
func TestExampleOfConfigLogging(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	config := fmt.Sprintf(`{"level": "info", "development": false, "outputPaths": [%q, "stderr"], "errorOutputPaths": ["stderr"],
		"encoding": "json", "initialFields": {"cluster": "a"}, "encoderConfig": {
		"timeKey": "timestamp", "levelKey": "severity", "nameKey": "logger", "callerKey": "caller", "messageKey": "message",
		"stacktraceKey": "stacktrace", "lineEnding": "", "levelEncoder": "", "timeEncoder": "iso8601", "durationEncoder": "",
		"callerEncoder": ""}}`, path)
	lines, problem := written(t, config, "")
	if want := []any{"info", "warn", "error"}; problem != "" || !reflect.DeepEqual(values(lines, "severity"), want) {
		t.Errorf("%v, %s", lines, problem)
	}
	if got := values(lines, "cluster"); slices.ContainsFunc(got, func(v any) bool { return v != "a" }) {
		t.Errorf("initial fields %v", got)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Count(string(b), "\n") != 3 {
		t.Errorf("the file has %q, %v", b, err)
	}
}

func TestConsole(t *testing.T) {
	var b bytes.Buffer
	log, err, _ := New(`{"encoding":"console","disableCaller":true,"disableStacktrace":false,"encoderConfig":{"timeKey":""}}`, "", &b)
	log.Info("hello")
	if err != nil || b.String() != "INFO\thello\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	b.Reset()
	log.Error("failed")
	if got := b.String(); !strings.HasPrefix(got, "ERROR\tfailed\n") || !strings.Contains(got, "TestConsole") {
		t.Errorf("no stack: %q", got)
	}
}

// Many lines with the same message are sampled if the configuration has sampling.
func TestSampling(t *testing.T) {
	for config, want := range map[string]func(int) bool{
		"": func(n int) bool { return n == 10000 },
		`{"sampling":{"initial":100,"thereafter":100}}`: func(n int) bool { return n >= 100 && n < 1000 },
	} {
		var b bytes.Buffer
		log, _, _ := New(config, "", &b)
		for range 10000 {
			log.Info("the same")
		}
		if n := strings.Count(b.String(), "\n"); !want(n) {
			t.Errorf("%q: %d lines of 10000", config, n)
		}
	}
}

// For any ConfigMap New returns a logger, and does not panic.
func FuzzNew(f *testing.F) {
	for _, s := range []string{
		"", "{", `{"level":"debug"}`, `{"encoderConfig":{"timeEncoder":null,"callerEncoder":null,"levelEncoder":null}}`,
		`{"encoding":"console","encoderConfig":{"messageKey":"","timeEncoder":{"layout":"06"}}}`, `{"sampling":{"initial":-1,"thereafter":-1}}`,
		`{"development":true,"disableStacktrace":false}`, `{"initialFields":{"a":{"b":[null]}}}`,
	} {
		f.Add(s, "info")
	}
	f.Fuzz(func(t *testing.T, config, level string) {
		if strings.Contains(strings.ToLower(config), "outputpaths") {
			t.Skip("it would write files")
		}
		var b bytes.Buffer
		log, _, _ := New(config, level, &b)
		log.With(zap.Int("n", 1)).Named("x").Error("line")
	})
}
