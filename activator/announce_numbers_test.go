package activator_test

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// What becomes of announcements, and of what is passed on of them, is counted.
func TestAnnouncementsAreCounted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("127.0.0.2 is not an address of this machine")
	}
	heard := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}
	served := make(chan error, 1)
	go func() { served <- heard.Serve(l) }()
	t.Cleanup(func() { heard.Close(); <-served })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)

	reg := prometheus.NewRegistry()
	f := newFront(t, activator.Config{PodIP: "127.0.0.1", PeerPort: n, Identify: identities, Registerer: reg})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdatePeers(hello, []string{"127.0.0.1", "127.0.0.2", "127.0.0.9"}) // at the last nobody listens
	counted := func(what string, times int) {
		t.Helper()
		line := fmt.Sprintf("\nsluice_announcement%s %d\n", what, times)
		await(t, line, func() bool { return strings.Contains("\n"+gather(t, reg), line) })
	}
	counted("s_total,result=accepted", 0)
	counted("_relays_total,result=dropped", 0)

	p := newPod(t, "uid-1", 0, false, nil)
	for _, c := range []struct {
		result string
		from   string
		change func(*knative.Announcement)
	}{
		{"accepted", "", func(*knative.Announcement) {}},
		{"malformed", "", func(a *knative.Announcement) { a.Token = "" }},
		{"unknown_revision", "", func(a *knative.Announcement) { a.Revision = "other" }},
		{"wrong_address", "127.0.0.4", func(*knative.Announcement) {}},
		{"unproven", "", func(a *knative.Announcement) { a.Token = "forged" }},
		{"wrong_namespace", "", func(a *knative.Announcement) { a.Token = "other/uid-1" }},
		{"unidentified", "", func(a *knative.Announcement) { a.Token = "away" }},
	} {
		said := announcementOf(p, "default/uid-1")
		c.change(&said)
		announce(t, f.url, cmp.Or(c.from, "127.0.0.1"), said)
		counted("s_total,result="+c.result, 1)
	}
	counted("_relays_total,result=sent", 1)
	counted("_relays_total,result=unreachable", 1)
	for i := 0; announce(t, f.url, "127.0.0.1", announcementOf(p, fmt.Sprint("forged-", i))) != http.StatusServiceUnavailable; i++ {
	}
	counted("s_total,result=too_many", 1)
}
