package standalone

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
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
			s.event(&revision{Revision: sample}, p, e)
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
		if got := s.shown(svc).Revisions[0].Reason; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// An app that accepts requests and never answers was shown as ready, without a remark.
func TestAppThatHangsIsRemarkedOn(t *testing.T) {
	for age, want := range map[time.Duration]string{
		9 * time.Second:  "",
		10 * time.Second: "a request has had no response for more than 10s",
		89 * time.Second: "a request has had no response for more than 1m",
		time.Hour:        "a request has had no response for more than 5m",
	} {
		if got := slow(age); got != want {
			t.Errorf("%v: %q, want %q", age, got, want)
		}
	}
	t.Parallel()
	b := newBuilder(t)
	b.build(answering("never", time.Hour))
	w := newWorld(t, command(service("app", "", "x", ""), b.file)).start()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.server.url("app", "default"), nil)
		if resp, err := w.resolving().Do(req); err == nil {
			resp.Body.Close()
			t.Error("a response")
		}
	}()
	w.sees("service app: ready, latest app-00001, replicas 1/1, " + w.server.url("app", "default") + " (a request has had no response for more than 10s)")
	cancel()
	<-done
	row := "service app: ready, latest app-00001, replicas 1/1, " + w.server.url("app", "default") + "\n"
	before := strings.Count(w.out.String(), row)
	w.eventually("no remark", func() bool { return strings.Count(w.out.String(), row) > before })
}

// resolving returns a client for which all names lead to the ingress.
func (w *world) resolving() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, w.server.config.addr())
		},
	}}
}

func bodyOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A service's revisions are shown with their part of the traffic and the URLs of their tags, and those URLs work.
func TestRevisionsAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, service("hello", "hello-a", "A", "")+
		service("hello", "hello-b", "B", "  traffic: [{revisionName: hello-a, percent: 30, tag: old}, {latestRevision: true, percent: 70}]\n")).start()
	w.sees("revision hello-b: ready, 70% of hello\n", "revision hello-a: ready, 30% of hello, "+w.server.url("old-hello", "default"))
	for url, want := range map[string]string{
		"http://old-hello.default.localhost":          "Hello A!\n",
		"http://old-hello.default.127.0.0.1.sslip.io": "Hello A!\n",
		"http://hello-b.default.localhost":            "Hello B!\n",
	} {
		resp, err := w.resolving().Get(url + ":" + strconv.Itoa(w.server.config.Port))
		if err != nil {
			t.Fatal(err)
		}
		if got := bodyOf(t, resp); got != want {
			t.Errorf("%s: %q", url, got)
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
