package activator

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/throttler"
)

// verdict is what one probe says of an address.
type verdict uint8

const (
	unasked   verdict = iota
	passed            // the queue-proxy said yes
	maybeMesh         // 502, 503 or no HTTP answer, as of a mesh in between
	noMesh            // any other answer: nothing in between made it
)

// finding is what one probe found out.
type finding struct {
	verdict  verdict
	declines bool // see pod
}

const (
	// maxProbeAnswer bounds what is read of an answer.
	maxProbeAnswer = 16 << 10

	// probeHead is the request, up to the host. The revision follows it, since the address may be another's pod's by now,
	// and passthrough where a mesh is told to let pods be addressed.
	probeHead = "GET " + knative.ProbePath + " HTTP/1.1\r\n" +
		knative.HeaderProbe + ": " + knative.ProbeQueue + "\r\n" +
		"User-Agent: " + knative.UserAgentActivator + "\r\n" +
		"Connection: close\r\n" +
		"Host: "
	passthrough = "\r\n" + knative.HeaderPassthroughLB + ": true"
)

// ask makes one probe, which a pod may hold until its app is ready. A token is held until the request is on its way.
// It is written by hand, and on a connection of its own, since ten thousand may be held at once.
func (p *prober) ask(ctx context.Context, pr *probe) finding {
	silent := finding{verdict: maybeMesh}
	select {
	case p.dials <- struct{}{}:
	case <-ctx.Done():
		return silent
	}
	release := sync.OnceFunc(func() { <-p.dials })
	defer release()

	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := p.dial(ctx, "tcp", pr.addr)
	if err != nil {
		return silent
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, pr.head()); err != nil {
		return silent
	}
	release()
	resp, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(conn, maxProbeAnswer), 512), nil)
	if err != nil {
		return silent
	}
	defer resp.Body.Close()
	return judgeProbe(resp)
}

// head is the request of a probe.
func (pr *probe) head() string {
	to := pr.addr
	if pr.host != "" {
		to = pr.host + passthrough
	}
	if id := pr.revision; id != (throttler.RevisionID{}) {
		to += "\r\n" + knative.HeaderNamespace + ": " + id.Namespace + "\r\n" + knative.HeaderRevision + ": " + id.Name
	}
	return probeHead + to + "\r\n\r\n"
}

// judgeProbe says whether the queue-proxy said yes, and what else it said of itself then. What a queue-proxy says of itself
// in any answer comes from no mesh.
func judgeProbe(resp *http.Response) finding {
	features := resp.Header[knative.HeaderFeatures]
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(len(knative.ProbeQueue))+1))
	switch {
	case err == nil && resp.StatusCode == http.StatusOK && string(body) == knative.ProbeQueue:
		return finding{passed, lists(features, knative.FeatureNoQueue)}
	case len(features) == 0 && (resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable):
		return finding{verdict: maybeMesh}
	}
	return finding{verdict: noMesh}
}

// lists says whether one of the comma-separated lists has the member.
func lists(all []string, member string) bool {
	for _, list := range all {
		for m := range strings.SplitSeq(list, ",") {
			if strings.TrimSpace(m) == member {
				return true
			}
		}
	}
	return false
}
