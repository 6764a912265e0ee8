package activator

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/throttler"
)

// probeStatus is the result of one probe of an address, as far as the choice between pods and cluster IP needs it.
type probeStatus uint8

const (
	unasked   probeStatus = iota
	passed                // the queue-proxy answered that its app is ready
	maybeMesh             // 502, 503 or no HTTP answer, as of a mesh in between
	noMesh                // any other answer: nothing in between made it
)

// probeResult is what one probe found out.
type probeResult struct {
	status   probeStatus
	declines bool   // see pod
	cause    cause  // why it has not passed
	detail   string // more of that, for everybody; it may be empty
	answer   string // the begin of an answer that no queue-proxy gives, for the log
}

const (
	// maxProbeAnswer bounds what is read of an answer, maxDetail what is kept of it.
	maxProbeAnswer = 16 << 10
	maxDetail      = 200

	// probeHead is the request, up to the host. The revision follows it, since the address may be another's pod's by now,
	// and passthrough where a mesh is told to let pods be addressed.
	// Between its parts stands how long it is waited for, in milliseconds.
	probeHead = "GET " + knative.ProbePath + " HTTP/1.1\r\n" +
		knative.HeaderProbe + ": " + knative.ProbeQueue + "\r\n" +
		"User-Agent: " + knative.UserAgentActivator + "\r\n" +
		"Connection: close\r\n" +
		knative.HeaderPatience + ": "
	probeHost   = "\r\nHost: "
	passthrough = "\r\n" + knative.HeaderPassthroughLB + ": true"
)

// ask makes one probe, which a pod may hold until its app is ready. A token is held until the request is on its way.
// It is written by hand, and on a connection of its own, since ten thousand may be held at once. A connection is all
// that is asked for with ProbeTCP.
func (p *prober) ask(ctx context.Context, pr *probe) probeResult {
	select {
	case p.dials <- struct{}{}:
	case <-ctx.Done():
		return probeResult{status: maybeMesh}
	}
	release := sync.OnceFunc(func() { <-p.dials })
	defer release()

	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	conn, err := p.dial(ctx, "tcp", pr.addr)
	if err != nil {
		return undialled(err)
	}
	defer conn.Close()
	if pr.kind == ProbeTCP {
		return probeResult{status: passed}
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, p.head+pr.to()); err != nil {
		return unanswered(err)
	}
	release()
	resp, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(conn, maxProbeAnswer), 512), nil)
	if err != nil {
		return unanswered(err)
	}
	defer resp.Body.Close()
	return judgeProbe(resp)
}

// to is the request of a probe from the host on.
func (pr *probe) to() string {
	to := pr.addr
	if pr.host != "" {
		to = pr.host + passthrough
	}
	if id := pr.revision; id != (throttler.RevisionID{}) {
		to += "\r\n" + knative.HeaderNamespace + ": " + id.Namespace + "\r\n" + knative.HeaderRevision + ": " + id.Name
	}
	return to + "\r\n\r\n"
}

// undialled is a probe that got no connection.
func undialled(err error) probeResult {
	f := probeResult{status: maybeMesh, cause: unreachable}
	if errors.Is(err, syscall.ECONNREFUSED) {
		f.cause = connectRefused
		return f
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without the address
	}
	f.detail = brief(err.Error())
	return f
}

// unanswered is a probe that got no answer of HTTP.
func unanswered(err error) probeResult {
	f := probeResult{status: maybeMesh, cause: noAnswer}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // it may be held
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		f.detail = "the connection was closed"
	default:
		f.cause, f.detail, f.answer = wrongAnswer, "it doesn't speak HTTP/1.1", brief(err.Error())
	}
	return f
}

// judgeProbe says whether the queue-proxy said yes, and what else it said of itself then. What a queue-proxy says of itself
// in any answer comes from no mesh.
func judgeProbe(resp *http.Response) probeResult {
	features := resp.Header[knative.HeaderFeatures]
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(len(knative.ProbeQueue))+1))
	switch {
	case err == nil && resp.StatusCode == http.StatusOK && string(body) == knative.ProbeQueue:
		return probeResult{status: passed, declines: lists(features, knative.FeatureNoQueue)}
	case len(features) > 0 && resp.StatusCode == http.StatusMisdirectedRequest:
		return probeResult{status: noMesh, cause: otherRevision}
	case len(features) > 0:
		return probeResult{status: noMesh, cause: notReady, detail: brief(knative.ProxyDetails(resp.Header.Get("Proxy-Status")))}
	}
	if err == nil { // what is there of the rest
		more := make([]byte, maxDetail)
		n, _ := resp.Body.Read(more)
		body = append(body, more[:n]...)
	}
	f := probeResult{
		status: noMesh, cause: wrongAnswer,
		detail: "the probe was answered " + strconv.Itoa(resp.StatusCode), answer: brief(string(body)),
	}
	if resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable {
		f.status, f.cause = maybeMesh, notReady
	}
	return f
}

// brief is the begin of what somebody else has said.
func brief(s string) string {
	if len(s) > maxDetail {
		s = s[:maxDetail]
	}
	return strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD")
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
