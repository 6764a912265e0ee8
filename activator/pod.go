package activator

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

// pod is an endpoint and what probes have found out about it; the cluster IP is one too.
type pod struct {
	Endpoint
	ready     bool        // Kubernetes calls it Ready
	suspected bool        // a request could not reach it since it became ready
	passed    bool        // it has passed a probe, and fewer than failures have failed in a row since
	since     time.Time   // when passed became true
	status    probeStatus // of the last probe since it was new or became ready
	fails     int         // probes that failed in a row
	why       probeResult // of the last probe that failed since it was new
	blamed    time.Time   // when that was
	// declines: its queue-proxy marks answers to requests that it didn't process, and can be asked to decline rather than
	// to queue.
	declines bool
	probe    *probe // in progress, or nil
	seen     uint64 // the last round of endpoints that listed it

	announced bool // by itself, and not listed since

	changed   bool // in pods.changed
	direct    bool // in the sum pods.direct
	used      bool // in the sum pods.usable
	ordered   bool // in pods.order
	remote    bool // in the share of another activator
	published bool // the throttler has it, as backend
	backend   throttler.Backend
}

// failures is how many probes in a row have to fail before a pod is taken out of use: one may be lost on a busy machine.
const failures = 2

func byID(p, q *pod) int { return strings.Compare(p.ID, q.ID) }

// count sets a flag of one pod, and keeps the sum over all.
func count(sum *int, flag *bool, now bool) {
	switch {
	case now && !*flag:
		*sum++
	case !now && *flag:
		*sum--
	}
	*flag = now
}

// forget drops the results of probes, and ends the one in progress.
func (p *pod) forget() {
	p.passed, p.suspected, p.status, p.fails, p.declines, p.why = false, false, unasked, 0, false, probeResult{}
	p.stopProbe()
}

func (p *pod) stopProbe() {
	if p.probe != nil {
		p.probe.stop()
		p.probe = nil
	}
}

// isDirect reports whether p can be addressed without the cluster IP, or whether that is still unknown.
func (p *pod) isDirect() bool {
	return p.passed || p.status == noMesh || p.ready && p.status == unasked
}

// remembered is how long the reason that a queue-proxy gave outlasts probes that merely time out, as one may on a busy
// machine.
const remembered = 5 * time.Second

// blame records why a probe has failed.
func (p *pod) blame(f probeResult, now time.Time) {
	if f.cause == noAnswer && f.detail == "" && p.why.cause == notReady && now.Sub(p.blamed) < remembered {
		return
	}
	p.why, p.blamed = f, now
}

func withPort(addr string, port int) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
