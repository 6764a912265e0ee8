package static

import (
	"reflect"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/throttler"
)

func index(all []Revision) map[throttler.RevisionID]Revision {
	m := make(map[throttler.RevisionID]Revision, len(all))
	for _, r := range all {
		m[r.ID] = r
	}
	return m
}

// publish publishes the differences between two states, deletions last: a client that finds a revision deleted then finds all
// new ones.
func publish(sink activator.Sink, old, now map[throttler.RevisionID]Revision) {
	for id, r := range now {
		was, known := old[id]
		if !known || was.Revision != r.Revision {
			sink.UpdateRevision(r.Revision)
		}
		if !reflect.DeepEqual(was.Peers, r.Peers) {
			sink.UpdatePeers(id, r.Peers)
		}
		if !known || !reflect.DeepEqual(was.Endpoints, r.Endpoints) {
			sink.UpdateEndpoints(id, r.Endpoints)
		}
	}
	for id, was := range old {
		if _, kept := now[id]; kept {
			continue
		}
		sink.DeleteRevision(id)
		sink.UpdateEndpoints(id, activator.Endpoints{})
		if len(was.Peers) > 0 {
			sink.UpdatePeers(id, nil)
		}
	}
}
