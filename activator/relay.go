package activator

import (
	"context"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-proxy/sluice/internal/knative"
)

const (
	relayTimeout = time.Second
	maxRelays    = 32  // at once
	maxRelayed   = 256 // that wait; more are dropped: every activator learns of the pod from Kubernetes in the end
)

// relay passes announcements on to the other activators in the path: the Service gives a pod's announcement to one.
type relay struct {
	self  string // IP
	port  int
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	count func(result string)
	queue chan relayed
}

// relayings are the results that passing on has.
func relayings() []string { return []string{"sent", "unreachable", "dropped"} }

type relayed struct {
	said knative.Announcement
	peer string
}

// pass doesn't block.
func (r *relay) pass(said knative.Announcement, peers []string) {
	for _, peer := range peers {
		if peer == r.self {
			continue
		}
		select {
		case r.queue <- relayed{said, peer}:
		default:
			r.count("dropped")
		}
	}
}

// run sends until ctx ends, and returns when the last has been sent.
func (r *relay) run(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(maxRelays)
	for {
		select {
		case <-ctx.Done():
			_ = g.Wait() // nothing fails
			return
		case m := <-r.queue:
			g.Go(func() error { r.count(r.send(ctx, m)); return nil })
		}
	}
}

// send is one attempt, and returns what it counts as: an activator that can't be reached now has other ways to learn of
// the pod.
func (r *relay) send(ctx context.Context, m relayed) (result string) {
	ctx, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	addr := net.JoinHostPort(m.peer, strconv.Itoa(r.port))
	conn, err := r.dial(ctx, "tcp", addr)
	if err != nil {
		return "unreachable"
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if m.said.Write(conn, addr) != nil {
		return "unreachable"
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxProbeAnswer)) // closed unread, it might be reset unsent
	return "sent"
}
