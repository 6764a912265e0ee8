package proxy

import (
	"net/http"
	"slices"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// private are the fields of Config.Private.
type private struct {
	names   []string // canonical
	lengths uint64   // a bit for the length of each: most names are none of these at a glance
}

func newPrivate(names []string) private {
	p := private{names: make([]string, len(names))}
	for i, name := range names {
		p.names[i] = http.CanonicalHeaderKey(name)
		p.lengths |= 1 << (len(name) % 64)
	}
	return p
}

func (p *private) has(name string) bool {
	return p.lengths&(1<<(len(name)%64)) != 0 &&
		slices.ContainsFunc(p.names, func(n string) bool { return h1.EqualFold(n, name) })
}

// strip removes them from a head.
func (p *private) strip(f *h1.Fields) {
	*f = slices.DeleteFunc(*f, func(x h1.Field) bool { return p.has(x.Name) })
}

// stripHeader is strip for net/http's heads and trailers.
func (p *private) stripHeader(h http.Header) {
	for _, name := range p.names {
		delete(h, name)
	}
}
