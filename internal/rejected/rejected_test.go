package rejected

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/proxy"
)

// All rejected connections are counted, and one in ten seconds is logged.
func TestEachCountsAndFewAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		counted := map[string]int{}
		reporter := New(zap.New(core), func(r proxy.Rejection) { counted[r.String()]++ })
		for i := range 100 {
			var err error = rejection(t, "missing Host")
			if i%2 > 0 {
				err = fmt.Errorf("%w within 30s", rejection(t, "no head"))
			}
			reporter.Report(fmt.Sprintf("192.0.2.1:%d", i), &proxy.Error{Reason: proxy.BadRequest, Err: err})
			time.Sleep(time.Second)
		}
		if want := map[string]int{"missing Host": 50, "no head": 50}; !maps.Equal(counted, want) {
			t.Errorf("%v, want %v", counted, want)
		}
		lines := logs.TakeAll()
		if len(lines) != 10 {
			t.Fatalf("%d lines", len(lines))
		}
		for i, line := range lines {
			fields, others := line.ContextMap(), int64(9)
			if i == 0 {
				others = 0
			}
			if fields["reason"] != "missing Host (RFC 9112 §3.2)" || fields["client"] != fmt.Sprintf("192.0.2.1:%d", 10*i) || fields["suppressed"] != others {
				t.Errorf("line %d: %v", i, fields)
			}
		}
	})
}

func rejection(t *testing.T, name string) proxy.Rejection {
	t.Helper()
	for _, r := range proxy.Rejections() {
		if r.String() == name {
			return r
		}
	}
	t.Fatalf("no rejection is called %q", name)
	return 0
}

// docs/operations.md has each reason, with its status, and no other.
func TestRejectionsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## Refused connections\n")
	section, _, _ = strings.Cut(section, "\n\nA malformed chunk")
	documented := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \|`).FindAllStringSubmatch(section, -1) {
		for _, reason := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			documented[reason[1]] = row[1]
		}
	}
	want := map[string]string{}
	for _, r := range proxy.Rejections() {
		want[r.String()] = strconv.Itoa(r.Status())
	}
	if !maps.Equal(documented, want) {
		t.Errorf("the document has\n%v, the proxy\n%v", documented, want)
	}
}

func TestWithoutACounter(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	New(zap.New(core), nil).Report("192.0.2.1:1", &proxy.Error{Reason: proxy.BadRequest})
	if logs.Len() != 1 {
		t.Errorf("%d lines", logs.Len())
	}
}
