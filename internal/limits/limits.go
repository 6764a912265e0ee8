// Package limits is what the programs let their users set of how much a client may send and how much is held for clients:
// one table of flags and variables for all of them.
//
//	Default(memory, descriptors) ─► variables ─► flags ─► Limits.Server: a proxy.ServerConfig
//
// What isn't set stays as it is.
package limits

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/internal/memlimit"
	"github.com/sluice-proxy/sluice/proxy"
)

// Limits are the settings.
type Limits struct {
	// Of any program.
	Target, Head    Size
	Fields          Count
	Conns, TLSConns Count
	HTTP2Conns      Count
	UnfinishedHeads Size
	WaitingBytes    Size
	// Of an activator.
	Waiting, RevisionWaiting Count
	Proxies                  Prefixes
}

// What things take, in bytes, as docs/operations.md has it measured; of a waiting request of HTTP/2, which takes more.
const (
	perConn      = 2 << 10
	perTLSConn   = 16 << 10
	perHTTP2Conn = 44 << 10
	perWaiting   = 16 << 10

	// Whatever memory there is, no more wait (contract, "Concurrency").
	maxWaiting         = 20_000
	maxRevisionWaiting = 10_000
	maxWaitingBytes    = 256 << 20
)

// ownDescriptors are those that aren't for requests: listeners, probes, logs, files, the cluster.
const ownDescriptors = 64

// Default are the limits of a server that clients talk to, which may use so many bytes of memory and so many descriptors:
// five eighths of the memory for requests that wait and an eighth for their heads, an eighth for connections, and as much for
// those inside TLS and for those of HTTP/2, and a sixteenth for heads that aren't complete. Of descriptors connections have
// half, since a request on each may need one more for its upstream.
func Default(memory, descriptors int64) Limits {
	count := func(bytes, each int64) Count { return Count(max(bytes/each, 16)) }
	return Limits{
		Target: proxy.DefaultMaxTarget, Head: proxy.DefaultMaxHead, Fields: proxy.DefaultMaxFields,
		Conns:           min(count(memory/8, perConn), count(descriptors-ownDescriptors, 2)),
		TLSConns:        count(memory/8, perTLSConn),
		HTTP2Conns:      count(memory/8, perHTTP2Conn),
		UnfinishedHeads: Size(max(memory/16, 1<<20)),
		Waiting:         min(count(memory/8*5, perWaiting), maxWaiting),
		WaitingBytes:    min(Size(max(memory/8, 1<<20)), maxWaitingBytes),
		RevisionWaiting: maxRevisionWaiting,
	}
}

// What proxies in front add to a head: names, addresses, traces. Envoy and an activator write some ten fields.
const (
	headBehind   = 4 << 10
	fieldsBehind = 24
)

// OfProcess is Default for the process that calls it.
func OfProcess() Limits { return Default(memlimit.Bytes(), Descriptors()) }

// Behind are the limits of a server that gets what one with l lets through, and what that adds.
func (l Limits) Behind() Limits {
	l.Head += headBehind
	l.Fields += fieldsBehind
	return l
}

// Setting is one of them, as users see it.
type Setting struct {
	Flag, Meaning string
	Value         flag.Value // what it is now
}

// Variable is the setting's name in the environment.
func (s Setting) Variable() string {
	return "SLUICE_" + strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_"))
}

// Text is the meaning without the quotes that package flag looks for.
func (s Setting) Text() string { return strings.ReplaceAll(s.Meaning, "`", "") }

// Settings are several.
type Settings []Setting

// Heads are those of what a client may send.
func (l *Limits) Heads() Settings {
	return Settings{
		{"max-target", "most `BYTES` of a request's target, its path and query; a longer one gets 414", &l.Target},
		{"max-head", "most `BYTES` of a request's head, its first line included; a larger one gets 431", &l.Head},
		{"max-fields", "most `FIELDS` of a request; more get 431", &l.Fields},
	}
}

// All are those, and of what is held for clients in any program.
func (l *Limits) All() Settings {
	return append(l.Heads(), Settings{
		{"max-connections", "most `CONNECTIONS` of clients; this and the next four follow from the memory that the process may use, this one from its descriptors too", &l.Conns},
		{"max-tls-connections", "most `CONNECTIONS` among them inside TLS, their handshakes included", &l.TLSConns},
		{"max-http2-connections", "most `CONNECTIONS` among them that speak HTTP/2", &l.HTTP2Conns},
		{"max-unfinished-heads", "most `BYTES` of heads that aren't complete, over all connections; the oldest go", &l.UnfinishedHeads},
		{"max-waiting-bytes", "most `BYTES` of heads of requests that wait", &l.WaitingBytes},
	}...)
}

// Activator are those, and of an activator.
func (l *Limits) Activator() Settings {
	return append(l.All(), Settings{
		{"max-waiting", "most `REQUESTS` that wait over all revisions; follows from memory, too", &l.Waiting},
		{"max-waiting-per-revision", "most `REQUESTS` that wait for one revision", &l.RevisionWaiting},
		{"trusted-peers", "`CIDRS` of proxies such as an ingress, between commas: many clients come through them, so that connections and waiting requests of one of their addresses are bounded by those of all alone", &l.Proxies},
	}...)
}

// Environment takes what variables say, and returns what is wrong with them. lookup is os.LookupEnv or like it.
func (all Settings) Environment(lookup func(string) (string, bool)) (errs []error) {
	for _, s := range all {
		if v, _ := lookup(s.Variable()); v != "" {
			if err := s.Value.Set(v); err != nil {
				errs = append(errs, fmt.Errorf("%s is %q, expected %w", s.Variable(), v, err))
			}
		}
	}
	return errs
}

// Flags defines a flag for each setting.
func (all Settings) Flags(f *flag.FlagSet) {
	for _, s := range all {
		f.Var(s.Value, s.Flag, s.Meaning+" ($"+s.Variable()+")")
	}
}

// Server adds the limits of clients to c.
func (l *Limits) Server(c proxy.ServerConfig) proxy.ServerConfig {
	c.MaxTarget, c.MaxHead, c.MaxFields = int(l.Target), int(l.Head), int(l.Fields)
	c.MaxConns, c.MaxTLSConns, c.MaxHTTP2Conns = int(l.Conns), int(l.TLSConns), int(l.HTTP2Conns)
	c.MaxUnfinishedHeads = int64(l.UnfinishedHeads)
	c.Proxies = slices.Clone(l.Proxies)
	return c
}
