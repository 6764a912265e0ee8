package standalone

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/ingress"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/metrics/statpb"
	"github.com/sluice-proxy/sluice/throttler"
)

// The queue-proxy's end is why the app ends too, and no next start is announced.
func TestReplicaThatEndsSaysWhatEndedItFirst(t *testing.T) {
	for _, c := range []struct {
		events []replica.Event
		want   string
	}{
		{nil, "its supervisor ended"},
		{[]replica.Event{
			{Kind: replica.Exited, Process: replica.App, Status: "exit status 7", RestartIn: time.Second},
			{Kind: replica.Exited, Process: replica.QueueProxy, Status: "signal: killed"},
			{Kind: replica.Exited, Process: replica.App, Status: "exit status 0"},
		}, "the queue-proxy ended: signal: killed"},
		{[]replica.Event{{Kind: replica.Failed, Process: replica.QueueProxy, Text: "no such file"}}, "the queue-proxy can't be started: no such file"},
	} {
		w := newWorld(t, service("hello", "", "World", ""))
		s, p := &Server{config: w.config}, &pod{name: "hello-1"}
		for _, e := range c.events {
			s.event(&revision{}, p, e)
		}
		w.config.Screen.Close(time.Minute)
		if got := p.whyEnded(); got != c.want || strings.Contains(w.out.String(), "next start in 0s") {
			t.Errorf("%q, want %q; output:\n%s", got, c.want, w.out)
		}
	}
}

// Many requests for a service that fails want many replicas; that these are capped is not what its user has to mend.
func TestCapHidesNoFailure(t *testing.T) {
	w := newWorld(t, service("hello", "", "World", ""))
	set, err := manifest.Load(w.config.input())
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{config: w.config.withDefaults(), catalog: catalog.New(catalog.Config{Scaling: *w.config.Scaling, Images: w.config.images()})}
	plan, err := s.catalog.Plan(set.Services)
	if err != nil {
		t.Fatal(err)
	}
	plan.Commit()
	s.ingress = ingress.New(ingress.Config{})
	svc := s.catalog.Services()[0]
	r := &revision{Revision: svc.Latest, desired: 300, capped: true}
	s.revisions = map[throttler.RevisionID]*revision{idOf(svc.Latest): r}
	for failure, want := range map[string]string{
		"":                           "capped by -max-replicas at 20",
		"the app ended: no database": "the app ended: no database; capped by -max-replicas at 20",
	} {
		r.failure = failure
		if got := s.row(svc).Reason; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStubbornAppIsNamed(t *testing.T) {
	for status, want := range map[string]string{
		"signal: killed":     "hello-1: the app did not end on SIGTERM, and was killed\n",
		"signal: terminated": "",
		"exit status 0":      "",
	} {
		w := newWorld(t, service("hello", "", "World", ""))
		s, p := &Server{config: w.config}, &pod{name: "hello-1", ending: true}
		s.event(&revision{}, p, replica.Event{Kind: replica.Exited, Process: replica.App, Status: status})
		w.config.Screen.Close(time.Minute)
		if got := w.out.String(); got != want {
			t.Errorf("%s: %q", status, got)
		}
	}
}

func TestFewFilesAreSaid(t *testing.T) {
	for limit, want := range map[uint64]bool{100: true, 1023: true, 1024: false, 1 << 20: false, 1<<64 - 1: false} {
		if got := fewFiles(limit); (got != "") != want {
			t.Errorf("%d: %q", limit, got)
		}
	}
}

func TestBurstBetweenTwoSamplesIsNotLost(t *testing.T) {
	r := &revision{}
	for i, c := range []struct {
		load    float64
		sampled bool // before
		want    float64
	}{{1, false, 1}, {60, false, 60}, {0, false, 60}, {0, true, 0}, {5, true, 5}, {7, false, 7}} {
		r.sampled = c.sampled
		r.keepReport(report{stat: &statpb.Stat{AverageConcurrentRequests: c.load}})
		if got := r.report.stat.GetAverageConcurrentRequests(); got != c.want {
			t.Errorf("report %d: %v, want %v", i, got, c.want)
		}
	}
}
