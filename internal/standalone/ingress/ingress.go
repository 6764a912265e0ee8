package ingress

import (
	"cmp"
	"container/list"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

// Route is a service with the targets of its requests.
type Route struct {
	Namespace, Service string
	Targets            []Target
	// Revisions are all revisions of the service, also those without traffic.
	Revisions []string
}

// Target is a part of a service's traffic.
type Target struct {
	Revision string
	Percent  int    // of a Route's Targets these sum to 100
	Tag      string // may be empty
}

// Config of an Ingress.
type Config struct {
	// Domain is the suffix of SERVICE.NAMESPACE in URLs, such as 127.0.0.1.sslip.io.
	Domain string
	// Shown is the domain in the list of hosts that a response to an unknown one has; empty: Domain.
	Shown string
	// ProxyStatus names the ingress in its own responses (RFC 9209).
	ProxyStatus string
}

// brokerName is knative.BrokerHost without its domain.
const brokerName = "broker-ingress.knative-eventing"

// Ingress routes requests. Make one with New.
type Ingress struct {
	config Config
	table  atomic.Pointer[table]
	// brokers is nil while there are none.
	brokers atomic.Pointer[brokers]
	open    unanswered
}

// brokers is immutable.
type brokers struct {
	addr  string
	paths []string
}

// New returns an Ingress without routes.
func New(c Config) *Ingress {
	i := &Ingress{config: c, open: unanswered{all: map[revision]*list.List{}}}
	i.SetRoutes(nil)
	return i
}

// table maps hosts to destinations. It is immutable.
type table struct {
	hosts map[string]destination // by name without its domain
	shown []string               // hosts of services, with the domain that is shown
}

// destination is the target of a host.
type destination struct {
	namespace string
	tag       string
	isDefault bool // the service itself
	targets   []Target
}

// SetRoutes replaces all routes.
func (i *Ingress) SetRoutes(routes []Route) {
	t := &table{hosts: map[string]destination{}}
	add := func(name string, r Route, d destination) {
		host := name + "." + r.Namespace
		if _, taken := t.hosts[host]; !taken {
			d.namespace = r.Namespace
			t.hosts[host] = d
		}
	}
	for _, r := range routes {
		add(r.Service, r, destination{targets: slices.Clone(r.Targets), isDefault: true})
		t.shown = append(t.shown, r.Service+"."+r.Namespace+"."+cmp.Or(i.config.Shown, i.config.Domain))
	}
	for _, r := range routes {
		for _, target := range r.Targets {
			if target.Tag != "" {
				one := []Target{{Revision: target.Revision, Percent: 100}}
				add(target.Tag+"-"+r.Service, r, destination{targets: one, tag: target.Tag})
			}
		}
	}
	for _, r := range routes {
		for _, revision := range r.Revisions {
			add(revision, r, destination{targets: []Target{{Revision: revision, Percent: 100}}})
		}
	}
	slices.Sort(t.shown)
	i.table.Store(t)
}

// SetBrokers sets the address, host:port, of the brokers with these paths, /NAMESPACE/NAME. It gets the requests to knative.BrokerHost, and those
// to this machine without a name, such as localhost, that have one of the paths.
func (i *Ingress) SetBrokers(addr string, paths []string) {
	i.brokers.Store(&brokers{addr, slices.Clone(paths)})
}

// Serves reports whether host is a service's, a tag's or a revision's, or a name that only a cluster can have.
func (i *Ingress) Serves(host string) bool {
	name, domain := i.split(host)
	_, ok := i.table.Load().hosts[name]
	return ok || domain == "svc" || domain == "svc.cluster.local"
}

// Oldest returns since when the oldest request that a revision has yet to respond to has been here; zero: there is none.
func (i *Ingress) Oldest(namespace, name string) time.Time {
	return i.open.oldest(revision{namespace, name})
}

// Wrap returns a policy that routes requests and passes them to next.
func (i *Ingress) Wrap(next proxy.Policy) proxy.Policy {
	// Only proxies may set these: remove a client's.
	return &routed{ingress: i, next: next, forged: knative.InternalHeaders()}
}

type routed struct {
	ingress *Ingress
	next    proxy.Policy
	forged  []string
}

// Begin sets the revision in the request's header.
func (p *routed) Begin(req *proxy.Request) proxy.Exchange {
	t := p.ingress.table.Load()
	host, _ := p.ingress.split(req.Host)
	d, ok := t.hosts[host]
	if b := p.ingress.brokers.Load(); !ok && b != nil && b.take(req, host) {
		return toBrokers{addr: b.addr}
	}
	if !ok {
		return notFound{ingress: p.ingress, table: t}
	}
	for _, name := range p.forged {
		req.Header.Del(name)
	}
	req.Header.Set(knative.HeaderNamespace, d.namespace)
	name := d.pick()
	req.Header.Set(knative.HeaderRevision, name)
	if d.tag != "" {
		req.Header.Set(knative.HeaderTag, d.tag)
	}
	if d.isDefault && d.tagged() {
		req.Header.Set(knative.HeaderDefaultRoute, "true")
	}
	return p.ingress.open.begin(revision{d.namespace, name}, p.next.Begin(req))
}

// split returns the parts of host: NAME.NAMESPACE, and the domain, which may be empty.
func (i *Ingress) split(host string) (name, domain string) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, domain := range []string{i.config.Domain, "svc.cluster.local", "svc", "localhost"} {
		if name, ok := strings.CutSuffix(host, "."+domain); ok {
			return name, domain
		}
	}
	return host, ""
}

// take reports whether a request to a host, without its domain, is for a broker.
func (b *brokers) take(req *proxy.Request, host string) bool {
	if host == brokerName {
		return true
	}
	if !IsMachine(host) {
		return false
	}
	path, _, _ := strings.Cut(req.Target, "?")
	return slices.Contains(b.paths, strings.TrimSuffix(path, "/"))
}

// IsMachine reports whether a host is localhost or an IP address. A page in a browser whose own name has come to lead to this machine (DNS
// rebinding) sends another one.
func IsMachine(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}

// toBrokers is the exchange of a request to a broker.
type toBrokers struct {
	proxy.NopExchange
	addr string
}

// Next forwards the request. An event may be sent again, so this needs no other attempt.
func (b toBrokers) Next(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	if a.Cause != nil {
		return proxy.Decision{}, a.Cause
	}
	return proxy.Forward(proxy.Upstream{Addr: b.addr, Proto: proxy.HTTP1}), nil
}

// pick chooses a target by weight, independently for each request.
func (d *destination) pick() string {
	if len(d.targets) == 1 {
		return d.targets[0].Revision
	}
	n := rand.IntN(100)
	for _, t := range d.targets {
		if n -= t.Percent; n < 0 {
			return t.Revision
		}
	}
	return d.targets[len(d.targets)-1].Revision
}

func (d *destination) tagged() bool {
	return slices.ContainsFunc(d.targets, func(t Target) bool { return t.Tag != "" })
}

// notFound is the exchange of a request with an unknown host.
type notFound struct {
	proxy.NopExchange
	ingress *Ingress
	table   *table
}

// Next answers 404 with the list of hosts.
func (n notFound) Next(req *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "no service is called %q\n", req.Host)
	if all := n.ingress.brokers.Load(); all != nil && len(all.paths) > 0 {
		fmt.Fprintf(&b, "the brokers here, at this address: %s\n", strings.Join(all.paths, ", "))
	}
	if len(n.table.shown) > 0 {
		fmt.Fprintf(&b, "the hosts here: %s\n", strings.Join(n.table.shown, ", "))
	}
	err := &proxy.Error{Reason: proxy.UnknownRevision, Text: b.String()}
	return proxy.Answer(err.Local(req, n.ingress.config.ProxyStatus)), nil
}
