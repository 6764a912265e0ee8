package replica

import (
	"io"
	"strings"
	"testing"
)

// What a program says as it dies stands above what its runtime writes.
func TestLastLineIsTheOneThatSaysWhy(t *testing.T) {
	for name, c := range map[string]struct{ written, want string }{
		"node":   {"[eval]:1\nthrow new Error(\"no database\")\n^\n\nError: no database\n    at [eval]:1:23\n    at node:internal/main:51:3\n\nNode.js v20.20.2\n", "Error: no database"},
		"errno":  {"node:events:502\n      throw er;\n      ^\n\nError: listen EADDRINUSE\n    at Server.x\nEmitted 'error' event on Server instance at:\n    at y {\n  errno: -98,\n}\n\nNode.js v20.20.2\n", "Error: listen EADDRINUSE"},
		"go":     {"started\npanic: no database\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:5 +0x18\nexit status 2\n", "panic: no database"},
		"go, 2":  {"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [select (no cases)]:\nmain.main()\n\t/app/main.go:5 +0x18\n\ngoroutine 7 [sleep]:\ntime.Sleep(0x1)\n\t/go/time.go:1 +0x1\n", "fatal error: all goroutines are asleep - deadlock!"},
		"java":   {"Exception in thread \"main\" java.lang.IllegalStateException: no database\n\tat Main.main(Main.java:3)\n", "Exception in thread \"main\" java.lang.IllegalStateException: no database"},
		"python": {"Traceback (most recent call last):\n  File \"x\", line 1\nValueError: no database\n", "ValueError: no database"},
		"docker": {"docker: Error response from daemon: No such image: i\n\nRun 'docker run --help' for more information\n", "docker: Error response from daemon: No such image: i"},
		"plain":  {"one\ntwo\n\n", "two"},
		"nested": {"  no database\n", "  no database"},
		"cut":    {"one\ntwo", "two"},
		"served": {"http: panic serving 127.0.0.1:1: boom\ngoroutine 9 [running]:\nnet/http.f()\n\t/go/x.go:1\n\nbye\n", "bye"},
	} {
		l := &lines{process: App, to: newReporter(io.Discard)}
		for b := range strings.SplitAfterSeq(c.written, "\n") {
			_, _ = l.Write([]byte(b))
		}
		l.flush()
		if got := l.lastLine(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
