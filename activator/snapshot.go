package activator

import (
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/throttler"
)

// RevisionSnapshot is a revision at one moment.
type RevisionSnapshot struct {
	ID       throttler.RevisionID
	Limit    int
	Waiting  int // requests that wait for a pod
	InFlight int // requests that a pod is working on
	Pods     int // endpoints known
	Usable   int // of these, may get requests
}

// Stats is the revision at this moment; false when it is not known.
func (a *Activator) Stats(id throttler.RevisionID) (RevisionSnapshot, bool) {
	t := a.revisions.get(id.Namespace, id.Name)
	if t == nil {
		return RevisionSnapshot{}, false
	}
	return t.snapshot()
}

// Snapshot is every revision at this moment, in the order of their names.
func (a *Activator) Snapshot() []RevisionSnapshot {
	var all []RevisionSnapshot
	for _, t := range a.revisions.all() {
		if s, ok := t.snapshot(); ok {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(x, y RevisionSnapshot) int { return strings.Compare(x.ID.String(), y.ID.String()) })
	return all
}
