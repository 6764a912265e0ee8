package activator

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
	"go.uber.org/zap"
)

const (
	identifyTimeout = 2 * time.Second
	// announcedFor is how long an announced pod may do without being listed by Kubernetes, which takes a second or two.
	announcedFor = 10 * time.Second
)

// ErrUnproven is the error of Config.Identify for a token that doesn't prove which pod sent it.
var ErrUnproven = errors.New("activator: the token is no proof of a pod")

// PodIdentity is what a pod has proven of itself.
type PodIdentity struct{ Namespace, Name, UID string }

// announcement is the exchange of a pod that announces its address before Kubernetes lists it (see knative.Announcement).
// Two conditions hold for an announcement that is accepted. It comes from the address that it names, or from another
// activator in the revision's path that received it from there. And its token proves a pod of the revision's namespace:
// whoever may run pods there can also give them the labels that the revision's Service selects. The address is then
// probed like that of any pod that isn't Ready yet. An announcement is not counted as a request.
type announcement struct {
	proxy.NopExchange
	of     *announcements
	result *announceResult // nil: it has not been judged
}

// Next implements proxy.Exchange.
func (x *announcement) Next(req *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
	if x.result == nil {
		return req.Await(proxy.Timeouts{}, func(ctx context.Context) {
			h := x.of.judge(ctx, req)
			x.result = &h
		}), nil
	}
	h := x.result
	x.of.a.collectors.received(h.result)
	if h.why == "" {
		return proxy.Answer(&proxy.Local{Status: h.status}), nil
	}
	return proxy.Answer(refusal(req, h.status, h.why)), nil
}

// announceResult is the decision about an announcement: the status of the answer, the label of the metric, and why it is rejected.
type announceResult struct {
	status      int
	result, why string
}

// announceResults are the labels that judge returns.
func announceResults() []string {
	return []string{
		"accepted", "malformed", "unknown_revision", "wrong_address", "too_many", "unproven", "unidentified", "wrong_namespace",
	}
}

// announcements judges the announcements of pods, and adds the pods that they prove.
type announcements struct {
	a            *Activator
	local        bool // the activator's own address is loopback: so are those of the pods, on the same machine
	reviews      reviews
	relay        relay
	unidentified sync.Once // the warning that senders can't be identified
}

func newAnnouncements(a *Activator) *announcements {
	c := a.config
	return &announcements{a: a, local: parseAddr(c.PodIP).IsLoopback(), relay: relay{
		self: c.PodIP, port: c.PeerPort, dial: a.prober.dial, queue: make(chan relayed, maxRelayed),
		count: func(result string) { a.collectors.relayed(result) },
	}}
}

// judge decides about an announcement. It blocks while the sender is identified.
func (n *announcements) judge(ctx context.Context, req *proxy.Request) announceResult {
	said, err := knative.ParseAnnouncement(func(name string) string { return strings.Clone(req.Header.Get(name)) })
	if err != nil {
		return announceResult{http.StatusBadRequest, "malformed", err.Error()}
	}
	t := n.a.revisions.get(said.Namespace, said.Revision)
	if t == nil || t.spec.Load() == nil {
		return announceResult{http.StatusNotFound, "unknown_revision", "unknown revision"}
	}
	from := said.Addr.Addr().Unmap()
	if !knative.IsPodAddr(from) && !(n.local && from.IsLoopback()) {
		return announceResult{http.StatusForbidden, "wrong_address", knative.HeaderPodAddr + " is no address of a pod"}
	}
	peers := t.peers()
	direct := cameFrom(req.RemoteAddr, from)
	if !direct && !slices.ContainsFunc(peers, func(p string) bool { return cameFrom(req.RemoteAddr, parseAddr(p)) }) {
		return announceResult{http.StatusForbidden, "wrong_address", knative.HeaderPodAddr + " is not the sender's address"}
	}
	h := n.identify(ctx, said)
	if h.why == "" && direct {
		n.relay.pass(said, peers)
	}
	return h
}

// identify adds the pod if the sender's token proves it.
func (n *announcements) identify(ctx context.Context, said knative.Announcement) announceResult {
	id, err := n.review(ctx, said)
	switch {
	case errors.Is(err, errTooMany):
		return announceResult{http.StatusServiceUnavailable, "too_many", err.Error()}
	case errors.Is(err, ErrUnproven):
		return announceResult{http.StatusForbidden, "unproven", err.Error()}
	case err != nil:
		return announceResult{http.StatusServiceUnavailable, "unidentified", "the sender can't be identified now"}
	case id.Namespace != said.Namespace:
		return announceResult{http.StatusForbidden, "wrong_namespace", "the sender is a pod of another namespace"}
	}
	n.add(said, id)
	return announceResult{http.StatusNoContent, "accepted", ""}
}

// review returns the pod that the token proves: as the API server answered a moment ago, or answers now. It blocks
// meanwhile, and fails with errTooMany beyond the bounds on such requests.
func (n *announcements) review(ctx context.Context, said knative.Announcement) (PodIdentity, error) {
	if id, err, ok := n.reviews.recall(said.Token, time.Now()); ok {
		return id, err
	}
	if !n.reviews.begin(said.Addr.Addr().Unmap(), time.Now()) {
		return PodIdentity{}, errTooMany
	}
	defer n.reviews.end()
	ctx, cancel := context.WithTimeout(ctx, identifyTimeout)
	defer cancel()
	id, err := n.a.config.Identify(ctx, said.Token)
	if err == nil || errors.Is(err, ErrUnproven) {
		n.reviews.remember(said.Token, id, err, time.Now())
	} else if ctx.Err() == nil {
		n.unidentified.Do(func() { n.a.log.Warn("pods that announce themselves can't be identified", zap.Error(err)) })
	}
	return id, err
}

// add adds a pod that Kubernetes doesn't list yet, for announcedFor.
func (n *announcements) add(said knative.Announcement, id PodIdentity) {
	n.a.change(throttler.RevisionID{Namespace: said.Namespace, Name: said.Revision}, func(t *tracked) {
		s, addr := t.spec.Load(), netip.AddrPortFrom(said.Addr.Addr().Unmap(), said.Addr.Port()).String()
		if s == nil || s.NoEarlyUse || n.a.config.MeshMode == MeshEnabled || n.a.config.Passthrough {
			return // it can't be used before it is listed
		}
		if p := t.pods.announce(Endpoint{ID: id.UID, Addr: addr, Name: id.Name}); p != nil {
			time.AfterFunc(announcedFor, func() { n.a.change(t.id, func(t *tracked) { t.pods.expire(p) }) })
		}
	})
}

func cameFrom(remote string, addr netip.Addr) bool {
	from, err := netip.ParseAddrPort(remote)
	return err == nil && addr.IsValid() && from.Addr().Unmap() == addr.Unmap()
}

func parseAddr(s string) netip.Addr {
	addr, _ := netip.ParseAddr(s) // an invalid one equals no address
	return addr
}
