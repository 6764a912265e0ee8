package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TestLiveLog: config-logging changes level and form of a log that is in use, fields given before included; one that
// can't be used is said in one line and changes nothing.
func TestLiveLog(t *testing.T) {
	var first bytes.Buffer
	path := filepath.Join(t.TempDir(), "log")
	l := newLiveLog(zapcore.InfoLevel, &first, "activator-1")
	user := l.With(zap.String("user", "of the log"))
	knative := func(level string) map[string]string {
		return map[string]string{
			"loglevel.activator": level, "loglevel.controller": "error",
			"zap-logger-config": `{"level": "warn", "outputPaths": ["` + path + `"], "errorOutputPaths": ["stderr"],
				"encoding": "json", "encoderConfig": {"timeKey": "timestamp", "levelKey": "lvl", "nameKey": "logger",
				"callerKey": "caller", "messageKey": "message", "timeEncoder": "iso8601"}}`,
		}
	}
	read := func(want int) (lines []map[string]string) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			m := map[string]string{}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			lines = append(lines, m)
		}
		if len(lines) != want {
			t.Fatalf("%d lines, want %d:\n%s", len(lines), want, b)
		}
		return lines
	}

	l.set(nil)
	user.Debug("hidden")
	user.Info("shown")
	if s := first.String(); !strings.Contains(s, `"message":"shown","knative.dev/pod":"activator-1","user":"of the log"`) ||
		strings.Contains(s, "hidden") {
		t.Errorf("at first:\n%s", s)
	}
	l.set(knative("debug"))
	user.Debug("now shown")
	last := read(2)[1]
	for k, want := range map[string]string{
		"lvl": "debug", "message": "now shown", "user": "of the log", "logger": "activator", "knative.dev/pod": "activator-1",
	} {
		if last[k] != want {
			t.Errorf("%s is %q, want %q", k, last[k], want)
		}
	}
	if !strings.HasPrefix(last["caller"], "activator/logging_test.go:") {
		t.Errorf("caller %q", last["caller"])
	}
	l.set(knative(""))
	l.Info("hidden: the configuration says warn")
	read(2)
	for value, want := range map[string]string{
		"loud": `loglevel.activator is "loud", expected debug, info, warn or error`,
		"{":    "zap-logger-config is not the JSON of a zap configuration: unexpected end of JSON input",
	} {
		bad := knative(value)
		if value == "{" {
			bad = map[string]string{"zap-logger-config": "{"}
		}
		l.set(bad)
		lines := read(len(strings.Split(strings.TrimSpace(string(must(os.ReadFile(path)))), "\n")))
		if got := lines[len(lines)-1]; got["error"] != want || got["lvl"] != "error" {
			t.Errorf("%s: %v", value, got)
		}
	}
	l.set(map[string]string{"zap-logger-config": `{"encoding": "none of them"}`})
	if got := read(5)[4]["error"]; !strings.HasPrefix(got, "zap-logger-config makes no log: ") {
		t.Error(got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
