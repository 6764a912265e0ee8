// Package limits has the settings for how much a client may send and how much a program holds for its clients: one table
// of flags and variables for all programs.
//
//	Default(memory, descriptors) ─► variables ─► flags ─► Limits.Server: a proxy.ServerConfig
//
// A setting without a variable or flag keeps its default.
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
	HeldBytes       Size
	WaitingBytes    Size
	// Of an activator.
	Waiting, RevisionWaiting Count
	Proxies                  Prefixes
	// Of brokers.
	EventBytes, LogBytes Size
}

// Memory of one connection or waiting request in bytes (measured: docs/operations.md). perWaiting is for HTTP/2, which
// takes more.
const (
	perConn      = 2 << 10
	perTLSConn   = 16 << 10
	perHTTP2Conn = 8 << 10
	perWaiting   = 16 << 10

	// Limits of waiting requests for any memory (contract, "Concurrency").
	maxWaiting         = 20_000
	maxRevisionWaiting = 10_000
	maxWaitingBytes    = 256 << 20
)

// ownDescriptors is the number kept for listeners, probes, logs, files and the API server.
const ownDescriptors = 64

// Default returns the limits of a server that faces clients, for a process that may use that much memory, in bytes, and
// that many descriptors. Of the memory, five eighths are for waiting requests and one eighth for their heads, one eighth
// each for connections, TLS connections and HTTP/2 connections, and a sixteenth for incomplete heads. Connections get half
// of the descriptors, since a request on each may need another for its upstream.
func Default(memory, descriptors int64) Limits {
	count := func(bytes, each int64) Count { return Count(max(bytes/each, 16)) }
	return Limits{
		Target: proxy.DefaultMaxTarget, Head: proxy.DefaultMaxHead, Fields: proxy.DefaultMaxFields,
		Conns:           min(count(memory/8, perConn), count(descriptors-ownDescriptors, 2)),
		TLSConns:        count(memory/8, perTLSConn),
		HTTP2Conns:      count(memory/8, perHTTP2Conn),
		UnfinishedHeads: Size(max(memory/16, 1<<20)),
		HeldBytes:       Size(max(memory/8, 1<<20)),
		Waiting:         min(count(memory/8*5, perWaiting), maxWaiting),
		WaitingBytes:    min(Size(max(memory/8, 1<<20)), maxWaitingBytes),
		RevisionWaiting: maxRevisionWaiting,
		EventBytes:      1 << 20,
		LogBytes:        1 << 30,
	}
}

// What proxies in front may add to a head: names, addresses, traces. Envoy and an activator add about ten fields.
const (
	headBehind   = 4 << 10
	fieldsBehind = 24
)

// OfProcess returns the default limits of this process.
func OfProcess() Limits { return Default(memlimit.Bytes(), Descriptors()) }

// Behind returns the limits of a server behind one with l, with room for the fields that the latter adds.
func (l Limits) Behind() Limits {
	l.Head += headBehind
	l.Fields += fieldsBehind
	return l
}

// Setting is one limit with its flag.
type Setting struct {
	Flag, Meaning string
	Value         flag.Value // the current value
}

// Variable returns the setting's name in the environment.
func (s Setting) Variable() string {
	return "SLUICE_" + strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_"))
}

// Text returns the meaning without the back quotes that are for package flag.
func (s Setting) Text() string { return strings.ReplaceAll(s.Meaning, "`", "") }

// Settings is a table of limits.
type Settings []Setting

// Heads returns the limits of what a client may send.
func (l *Limits) Heads() Settings {
	return Settings{
		{"max-target", "limit in `BYTES` of a request's target, which is its path and query; a longer one gets 414", &l.Target},
		{"max-head", "limit in `BYTES` of a request's head, including its first line; a larger one gets 431", &l.Head},
		{"max-fields", "limit of header `FIELDS` of a request; more get 431", &l.Fields},
	}
}

// All returns Heads and the limits of what any program holds for its clients.
func (l *Limits) All() Settings {
	return append(l.Heads(), Settings{
		{"max-connections", "limit of client `CONNECTIONS`; the default of this and the next five depends on the memory that the process may use, this one's also on its file descriptors", &l.Conns},
		{"max-tls-connections", "limit of client `CONNECTIONS` inside TLS, including handshakes", &l.TLSConns},
		{"max-http2-connections", "limit of client `CONNECTIONS` of HTTP/2", &l.HTTP2Conns},
		{"max-unfinished-heads", "limit in `BYTES` of incomplete heads over all connections; beyond it the oldest are rejected", &l.UnfinishedHeads},
		{"max-held-bytes", "limit in `BYTES` of what requests of HTTP/2 have the proxy hold: their heads, and what waits of bodies", &l.HeldBytes},
		{"max-waiting-bytes", "limit in `BYTES` of the heads of waiting requests", &l.WaitingBytes},
	}...)
}

// Activator returns All and the limits that only an activator has.
func (l *Limits) Activator() Settings {
	return append(l.All(), Settings{
		{"max-waiting", "limit of waiting `REQUESTS` over all revisions; the default depends on memory, too", &l.Waiting},
		{"max-waiting-per-revision", "limit of waiting `REQUESTS` for one revision", &l.RevisionWaiting},
		{"trusted-peers", "comma-separated `CIDRS` of proxies such as an ingress, which forward for many clients: their addresses have no share of their own, and only the limits over all clients apply to them", &l.Proxies},
	}...)
}

// Events returns the limits that only brokers have.
func (l *Limits) Events() Settings {
	return Settings{
		{"max-event-bytes", "limit in `BYTES` of an event, a batch of events or a reply; a larger one gets 413", &l.EventBytes},
		{"max-log-bytes", "limit in `BYTES` of the events that a broker keeps for triggers that can't deliver; beyond it the oldest are dropped", &l.LogBytes},
	}
}

// Environment sets the values of variables, and returns an error for each invalid one. lookup works like os.LookupEnv.
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
	c.MaxHeld = int64(l.HeldBytes)
	c.Proxies = slices.Clone(l.Proxies)
	return c
}
