package rejected

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/proxy"
)

type counts map[string]int

func (c counts) Count(reason string) { c[reason]++ }

// All are counted, one in ten seconds is logged.
func TestEachCountsAndFewAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		counted := counts{}
		reporter := New(zap.New(core), counted)
		for i := range 100 {
			err := "missing Host (RFC 9112 §3.2)"
			if i%2 > 0 {
				err = "no head within 30s"
			}
			reporter.Report(fmt.Sprintf("192.0.2.1:%d", i), &proxy.Error{Reason: proxy.BadRequest, Err: errors.New(err)})
			time.Sleep(time.Second)
		}
		if want := (counts{"missing Host": 50, "no head within 30s": 50}); !maps.Equal(counted, want) {
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

func TestWithoutACounter(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	New(zap.New(core), nil).Report("192.0.2.1:1", &proxy.Error{Reason: proxy.BadRequest})
	if logs.Len() != 1 {
		t.Errorf("%d lines", logs.Len())
	}
}
