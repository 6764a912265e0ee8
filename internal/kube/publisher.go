package kube

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/activator"
)

// portClear is a private Service's port without TLS.
const portClear = "80"

// publisher publishes the changes of a table to a sink. Its buffers are valid for one call of the sink.
type publisher struct {
	table *table
	sink  activator.Sink

	changes         []change
	index           map[string]int // of a pod in merged
	merged          []endpoint
	ready, notReady []activator.Endpoint
}

// run publishes until ctx ends. It closes synced after the first time, when it has published all that was listed.
func (t *publisher) run(ctx context.Context, synced chan<- struct{}) {
	t.index = map[string]int{}
	done := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.table.changed:
		}
		t.changes = t.table.take(t.changes[:0])
		for i := range t.changes {
			t.publish(&t.changes[i])
		}
		clear(t.changes) // so that old states can be collected
		if !done {
			close(synced)
			done = true
			t.changes = nil // it had an entry for each revision of the cluster
		}
	}
}

// publish updates peers before pods, so that the pods are shared among the peers from the start.
func (t *publisher) publish(c *change) {
	if c.parts&partRevision != 0 {
		if c.revision != nil {
			t.sink.UpdateRevision(c.revision.Revision)
		} else {
			t.sink.DeleteRevision(c.id)
		}
	}
	if c.parts&partPeers != 0 {
		t.sink.UpdatePeers(c.id, t.peers(c.peers))
	}
	if c.parts&partEndpoints != 0 {
		t.sink.UpdateEndpoints(c.id, t.endpoints(c))
	}
}

func (t *publisher) endpoints(c *change) activator.Endpoints {
	var e activator.Endpoints
	v6 := false
	if s := c.service; s != nil {
		e.Service = s.name.name
		if s.clusterIP != "" {
			e.ClusterIP = net.JoinHostPort(s.clusterIP, portClear)
			v6 = isV6(s.clusterIP)
		}
	}
	t.merge(c.pods, v6)
	t.ready, t.notReady = t.ready[:0], t.notReady[:0]
	for _, p := range t.merged {
		if p.ready {
			t.ready = append(t.ready, p.Endpoint)
		} else {
			t.notReady = append(t.notReady, p.Endpoint)
		}
	}
	e.Ready, e.NotReady = t.ready, t.notReady
	return e
}

func (t *publisher) peers(all []*list) []string {
	t.merge(all, false)
	peers := make([]string, 0, len(t.merged))
	for _, p := range t.merged {
		peers = append(peers, p.Addr)
	}
	slices.Sort(peers)
	return peers
}

// merge joins the lists of a Service in t.merged, each pod once. A pod is listed twice while it moves from one slice to
// another: it is ready if it is in either. It is also listed in a slice of each address family of its Service: the family
// of the first cluster IP is used.
func (t *publisher) merge(all []*list, v6 bool) {
	clear(t.index)
	t.merged = t.merged[:0]
	for _, l := range all {
		for _, e := range l.endpoints {
			id := e.ID
			if id == "" {
				id = e.Addr
			}
			i, again := t.index[id]
			if !again {
				t.index[id] = len(t.merged)
				t.merged = append(t.merged, e)
				continue
			}
			old := &t.merged[i]
			ready := old.ready || e.ready
			if isV6(old.Addr) != v6 && isV6(e.Addr) == v6 {
				*old = e
			}
			old.ready = ready
		}
	}
}

// isV6 reports whether an IP, alone or with a port, is of version 6.
func isV6(addr string) bool { return strings.Count(addr, ":") > 1 }
