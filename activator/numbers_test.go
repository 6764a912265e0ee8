package activator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// The numbers that the contract names, that operators have been told, or that others count on.
func TestDefaults(t *testing.T) {
	want := Config{
		PodName: "activator", ClusterDomain: "cluster.local",
		ProbeTimeout: 300 * time.Millisecond, ProbeFrequency: 200 * time.Millisecond, MaxProbeDials: 512, PeerPort: 8012,
		MaxIdleConns: 1000, MaxIdleConnsPerHost: 100, DialTimeout: 2 * time.Second,
		MaxWaiting: 20_000, MaxWaitingBytes: 256 << 20, RevisionMaxWaiting: 10_000, ReportPeriod: time.Second,
	}
	c := Config{}.withDefaults()
	for name, v := range map[string][2]any{
		"PodName":             {c.PodName, want.PodName},
		"ClusterDomain":       {c.ClusterDomain, want.ClusterDomain},
		"ProbeTimeout":        {c.ProbeTimeout, want.ProbeTimeout},
		"ProbeFrequency":      {c.ProbeFrequency, want.ProbeFrequency},
		"MaxProbeDials":       {c.MaxProbeDials, want.MaxProbeDials},
		"PeerPort":            {c.PeerPort, want.PeerPort},
		"MaxIdleConns":        {c.MaxIdleConns, want.MaxIdleConns},
		"MaxIdleConnsPerHost": {c.MaxIdleConnsPerHost, want.MaxIdleConnsPerHost},
		"DialTimeout":         {c.DialTimeout, want.DialTimeout},
		"MaxWaiting":          {c.MaxWaiting, want.MaxWaiting},
		"MaxWaitingBytes":     {c.MaxWaitingBytes, want.MaxWaitingBytes},
		"RevisionMaxWaiting":  {c.RevisionMaxWaiting, want.RevisionMaxWaiting},
		"ReportPeriod":        {c.ReportPeriod, want.ReportPeriod},
		"earlyTimeout":        {earlyTimeout, 300 * time.Second},
		"announcedFor":        {announcedFor, 10 * time.Second},
		"clusterPortTLS":      {clusterPortTLS, 443},
	} {
		if v[0] != v[1] {
			t.Errorf("%s is %v, want %v", name, v[0], v[1])
		}
	}
}

// TestIntervals: how often an address is asked, by pace and for how long it has been.
func TestIntervals(t *testing.T) {
	p := newProber(Config{}.withDefaults())
	for _, c := range []struct {
		name    string
		at      pace
		idle    bool
		elapsed time.Duration
		want    time.Duration
	}{
		{"at first", search, false, 0, time.Millisecond},
		{"while requests wait", search, false, 6400 * time.Millisecond, 100 * time.Millisecond},
		{"for long", search, false, time.Hour, 200 * time.Millisecond},
		{"while none waits", search, true, 64 * time.Second, time.Second},
		{"for long, while none waits", search, true, time.Hour, 5 * time.Second},
		{"in use", watch, false, 0, 200 * time.Millisecond},
		{"in use for a while", watch, false, 8 * time.Second, time.Second},
		{"in use for long", watch, false, time.Hour, 2 * time.Second},
		{"beside a cluster IP", examine, false, 0, 200 * time.Millisecond},
		{"beside a cluster IP for long", examine, false, time.Hour, 5 * time.Second},
	} {
		if got := p.interval(c.at, c.idle, c.elapsed); got != c.want {
			t.Errorf("%s: every %v, want %v", c.name, got, c.want)
		}
	}
	p.active = 10_000
	if got := p.interval(search, false, 0); got != time.Second {
		t.Errorf("ten thousand pods: every %v", got)
	}
}

// TestJudge: what the end of a request says of its pod.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name string
		x    exchange
		o    proxy.AttemptResult
		want throttler.Outcome
	}{
		{"an answer", exchange{}, proxy.AttemptResult{Status: 200}, throttler.OK},
		{"the app's own 503", exchange{}, proxy.AttemptResult{Status: 503}, throttler.OK},
		{"full", exchange{busy: true}, proxy.AttemptResult{Status: 503}, throttler.Busy},
		{"full, and then cut", exchange{busy: true}, proxy.AttemptResult{Status: 503, Reason: proxy.TLSFailed}, throttler.Busy},
		{"its app is down", exchange{down: true}, proxy.AttemptResult{Status: 502}, throttler.DialFailed},
		{"refused", exchange{}, proxy.AttemptResult{Reason: proxy.ConnectRefused}, throttler.DialFailed},
		{"silence", exchange{}, proxy.AttemptResult{Reason: proxy.ConnectTimeout}, throttler.DialFailed},
		{"no trust", exchange{}, proxy.AttemptResult{Reason: proxy.TLSFailed}, throttler.DialFailed},
		{"the client went before it was dialled", exchange{}, proxy.AttemptResult{Reason: proxy.ClientGone}, throttler.Unused},
		{"the client went after", exchange{}, proxy.AttemptResult{Reason: proxy.ClientGone, Connect: 1}, throttler.OK},
		{"the client went from an old connection", exchange{}, proxy.AttemptResult{Reason: proxy.ClientGone, Reused: true}, throttler.OK},
		{"it died", exchange{held: true}, proxy.AttemptResult{Reason: proxy.UpstreamClosed, Connect: 1}, throttler.Lost},
		{"it died, an old connection", exchange{held: true}, proxy.AttemptResult{Reason: proxy.UpstreamClosed, Connect: 1, Reused: true}, throttler.Lost},
		{"it closed on a large body", exchange{}, proxy.AttemptResult{Reason: proxy.UpstreamClosed, Connect: 1}, throttler.Unused},
		{"it died in its answer", exchange{}, proxy.AttemptResult{Reason: proxy.ResponseTruncated, Status: 200}, throttler.OK},
		{"too late", exchange{}, proxy.AttemptResult{Reason: proxy.TimeoutTotal, Status: 200}, throttler.OK},
	} {
		if got := c.x.judge(c.o); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestCloseBeforeAnAnnouncedPodIsForgotten: its time comes when nothing runs any more.
func TestCloseBeforeAnAnnouncedPodIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := unrun(t, Config{})
		a.UpdateRevision(Revision{ID: rev})
		announceTo(a, "a", "10.0.0.7:8012")
		a.DeleteRevision(rev)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(announcedFor + time.Second)
		synctest.Wait()
		if n := len(a.revisions.all()); n > 0 || len(a.prober.pending) > 0 {
			t.Errorf("%d revisions and %d probes are left", n, len(a.prober.pending))
		}
	})
}
