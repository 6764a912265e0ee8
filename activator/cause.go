package activator

import "strconv"

// cause is why a pod, or a revision, can't take a request. The list is closed: logs and metrics use the same words, and
// docs/operations.md explains what to do about each.
type cause uint8

const (
	noCause cause = iota
	noPod
	notAsked
	connectRefused
	unreachable
	noAnswer
	notReady
	wrongAnswer
	otherRevision
	notListedReady
	full
	unavailable
	causes // their number
)

// causeTable has the name of each cause, and its predicate in a sentence about a pod.
var causeTable = [causes]struct{ name, says string }{
	noCause:        {"", ""},
	noPod:          {"no_pod", ""},
	notAsked:       {"not_asked", "has not been asked yet"},
	connectRefused: {"connect_refused", "refuses connections"},
	unreachable:    {"unreachable", "can't be reached"},
	noAnswer:       {"no_answer", "accepts connections and doesn't answer the probe"},
	notReady:       {"not_ready", "isn't ready"},
	wrongAnswer:    {"wrong_answer", "has no queue-proxy at its address, but something else"},
	otherRevision:  {"other_revision", "belongs to another revision"},
	notListedReady: {"not_listed_ready", "passes its probe, but Kubernetes doesn't call it Ready"},
	full:           {"full", ""},
	unavailable:    {"unavailable", ""},
}

func (c cause) String() string { return causeTable[c].name }

// trouble is what a revision can't serve for.
type trouble struct {
	cause    cause
	sentence string // for clients too
	pod      Endpoint
	answer   string // the begin of what was answered to a probe, for the log
}

// busy is the trouble of a revision with pods that can be used.
func busy(usable, limit int) trouble {
	sentence := "every pod of the revision that can be used is busy (" + strconv.Itoa(usable)
	if limit > 0 {
		sentence += ", each with " + strconv.Itoa(limit) + " requests at a time"
	}
	return trouble{cause: full, sentence: sentence + ")"}
}
