// Package limits is what the programs let their users set of how much a client may send and how much may be held: one
// table of flags and variables for all of them.
//
//	variables ─► Limits.Environment ─┐
//	flags ─────► Limits.Flags ───────┴─► Limits.Server: a proxy.ServerConfig
//
// What isn't set stays as it is.
package limits

import (
	"flag"
	"fmt"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
)

// Limits are the settings.
type Limits struct {
	Target, Head Size
	Fields       Count
}

// Default are the limits of a server that clients talk to.
func Default() Limits {
	return Limits{Target: proxy.DefaultMaxTarget, Head: proxy.DefaultMaxHead, Fields: proxy.DefaultMaxFields}
}

// What proxies in front add to a head: names, addresses, traces. Envoy and an activator write some ten fields.
const (
	headBehind   = 4 << 10
	fieldsBehind = 24
)

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

// Settings lists what there is to set.
func (l *Limits) Settings() []Setting {
	return []Setting{
		{"max-target", "most `BYTES` of a request's target, its path and query; a longer one gets 414", &l.Target},
		{"max-head", "most `BYTES` of a request's head, its first line included; a larger one gets 431", &l.Head},
		{"max-fields", "most `FIELDS` of a request; more get 431", &l.Fields},
	}
}

// Environment takes what variables say, and returns what is wrong with them. lookup is os.LookupEnv or like it.
func (l *Limits) Environment(lookup func(string) (string, bool)) (errs []error) {
	for _, s := range l.Settings() {
		if v, _ := lookup(s.Variable()); v != "" {
			if err := s.Value.Set(v); err != nil {
				errs = append(errs, fmt.Errorf("%s is %q, expected %w", s.Variable(), v, err))
			}
		}
	}
	return errs
}

// Flags defines a flag for each setting.
func (l *Limits) Flags(f *flag.FlagSet) {
	for _, s := range l.Settings() {
		f.Var(s.Value, s.Flag, s.Meaning+" ($"+s.Variable()+")")
	}
}

// Server adds the limits of clients to c.
func (l *Limits) Server(c proxy.ServerConfig) proxy.ServerConfig {
	c.MaxTarget, c.MaxHead, c.MaxFields = int(l.Target), int(l.Head), int(l.Fields)
	return c
}
