package activator

import (
	"fmt"
	"strconv"
)

// cause is why a pod, or a revision, can't take a request. The list is closed: the same words stand in logs and metrics,
// and docs/operations.md says what to do about each.
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

// causeTable has the name of each cause, and what it says of a pod.
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

// troubleLocked finds out why requests of the revision don't get a pod: what the newest failure of a probe says, if that
// pod still can't be used.
func (t *tracked) troubleLocked() trouble {
	s := t.spec.Load()
	switch {
	case s == nil:
		return trouble{}
	case t.usable.Load() > 0:
		return t.fullLocked(s)
	case len(t.pods) == 0:
		return trouble{cause: noPod, sentence: "the revision has no pod"}
	}
	p := t.worst
	if p == nil || t.pods[p.ID] != p && p != &t.cluster {
		for _, p = range t.pods { // any: none has failed
			break
		}
	}
	why := p.why
	switch {
	case p.passed && p != &t.cluster:
		why = probeResult{cause: notListedReady}
	case why.cause == noCause:
		why.cause = notAsked
	}
	sentence := causeTable[why.cause].says
	if why.detail != "" {
		sentence += ": " + why.detail
	}
	switch n := len(t.pods); {
	case p == &t.cluster:
		sentence = "the cluster IP before the revision's pods " + sentence
	case n == 1:
		sentence = "the revision's only pod " + sentence
	default:
		sentence = fmt.Sprintf("none of the revision's %d pods can be used; the one asked last %s", n, sentence)
	}
	return trouble{why.cause, sentence, p.Endpoint, why.answer}
}

// fullLocked is the trouble of a revision with pods that can be used.
func (t *tracked) fullLocked(s *spec) trouble {
	sentence := "every pod of the revision that can be used is busy (" + strconv.Itoa(int(t.usable.Load()))
	if s.Limit > 0 {
		sentence += ", each with " + strconv.Itoa(s.Limit) + " requests at a time"
	}
	return trouble{cause: full, sentence: sentence + ")"}
}

// trouble is troubleLocked for those who don't hold the lock.
func (t *tracked) trouble() trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.troubleLocked()
}
