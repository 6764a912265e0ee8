package ingress

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// Route is a service and where its requests go.
type Route struct {
	Namespace, Service string
	Targets            []Target
	// Revisions are all that the service has, in its traffic or not.
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
	// Domain follows SERVICE.NAMESPACE in the URLs that are shown, such as 127.0.0.1.sslip.io.
	Domain string
	// Next serves what has been routed.
	Next http.Handler
	// ProxyStatus names the ingress in its own answers (RFC 9209).
	ProxyStatus string
}

// Ingress routes requests. Make one with New.
type Ingress struct {
	config Config
	table  atomic.Pointer[table]
}

// New makes an Ingress without routes.
func New(c Config) *Ingress {
	i := &Ingress{config: c}
	i.SetRoutes(nil)
	return i
}

// table is what hosts mean. It is never changed.
type table struct {
	hosts map[string]destination // by name without its domain
	shown []string               // hosts of services, with the domain
}

// destination is what one host stands for.
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
		t.shown = append(t.shown, i.Host(r.Service, r.Namespace))
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

// Host is how a service, TAG-SERVICE or revision of a namespace is addressed, without a port.
func (i *Ingress) Host(name, namespace string) string {
	return name + "." + namespace + "." + i.config.Domain
}

// ServeHTTP routes r.
func (i *Ingress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := i.table.Load()
	d, ok := t.hosts[i.name(r.Host)]
	if !ok {
		i.notFound(w, r, t)
		return
	}
	header := r.Header.Clone()
	for _, name := range forged {
		delete(header, name)
	}
	header[knative.HeaderNamespace] = []string{d.namespace}
	header[knative.HeaderRevision] = []string{d.pick()}
	if d.tag != "" {
		header[knative.HeaderTag] = []string{d.tag}
	}
	if d.isDefault && d.tagged() {
		header[knative.HeaderDefaultRoute] = []string{"true"}
	}
	// A handler may not change its request; a shallow copy is enough to change the header.
	routed := *r
	routed.Header = header
	i.config.Next.ServeHTTP(w, &routed)
}

// forged are headers that mean something between our own proxies: a client has no say in them.
var forged = knative.InternalHeaders()

// name is the part of host that says what is asked for: NAME.NAMESPACE.
func (i *Ingress) name(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, domain := range []string{i.config.Domain, "svc.cluster.local", "svc", "localhost"} {
		if name, ok := strings.CutSuffix(host, "."+domain); ok {
			return name
		}
	}
	return host
}

// pick chooses by weight, for each request anew.
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

func (i *Ingress) notFound(w http.ResponseWriter, r *http.Request, t *table) {
	var b strings.Builder
	fmt.Fprintf(&b, "no service is called %q\n", r.Host)
	if len(t.shown) > 0 {
		fmt.Fprintf(&b, "the hosts here: %s\n", strings.Join(t.shown, ", "))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Proxy-Status", i.config.ProxyStatus+"; error=destination_not_found")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(b.String())) // fails when the client has gone
}
