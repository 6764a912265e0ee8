package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TestLiveLog checks that config-logging changes level and encoding of a log that is in use, which keeps its fields.
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
		"lvl": "DEBUG", "message": "now shown", "user": "of the log", "logger": "activator", "knative.dev/pod": "activator-1",
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
	l.set(nil) // the ConfigMap has been deleted
	l.Warn("where it was")
	read(3)
}

// Settings of config-logging that are missing or can't be used have the defaults of Knative's own activator.
func TestC3PartialLoggingConfig(t *testing.T) {
	type data = map[string]string
	for _, c := range []struct {
		data       data
		complaints []string
	}{
		{data{"zap-logger-config": `{"level":"debug"}`}, nil},
		{data{"zap-logger-config": `{"encoding":"json"}`, "loglevel.activator": "debug"}, nil},
		{
			data{"zap-logger-config": `{`, "loglevel.activator": "debug"},
			[]string{"zap-logger-config is not the JSON of a zap configuration, the defaults are used: unexpected end of JSON input"},
		},
		{
			data{"zap-logger-config": `{"encoding":"none"}`, "loglevel.activator": "debug"},
			[]string{`zap-logger-config makes no logger, the defaults are used: encoding "none" is neither json nor console`},
		},
		{
			data{"zap-logger-config": `{"level":"debug"}`, "loglevel.activator": "loud"},
			[]string{`loglevel.activator is "loud" and is ignored, expected debug, info, warn or error`},
		},
	} {
		t.Run(c.data["zap-logger-config"], func(t *testing.T) {
			var b bytes.Buffer
			l := newLiveLog(zapcore.InfoLevel, &b, "activator-1")
			l.set(c.data)
			l.Debug("a debug line")
			var warnings, messages []string
			for line := range strings.Lines(b.String()) {
				var m struct{ Severity, Message, Timestamp string }
				if err := json.Unmarshal([]byte(line), &m); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if m.Severity == "WARNING" {
					warnings = append(warnings, m.Message)
				} else {
					messages = append(messages, m.Severity+" "+m.Message)
				}
			}
			if !slices.Equal(warnings, c.complaints) || !slices.Equal(messages, []string{"INFO logging", "DEBUG a debug line"}) {
				t.Errorf("%q, %q", warnings, messages)
			}
		})
	}
}
