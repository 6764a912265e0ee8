package main

import (
	"fmt"
	"slices"
	"strings"
)

// variant tells apart contenders that are one of this project's proxies, each with other binaries or settings.
type variant struct {
	revision string   // of which the binaries are, as git names it; "": the working tree
	env      []string // settings of all processes
	args     []string // arguments of the activator
}

// program is the name of a binary in site.programs.
func (v variant) program(name string) string {
	if v.revision == "" {
		return name
	}
	return name + "@" + v.revision
}

// baselines are contenders like those of all that are this project's, with the binaries of a revision. The latter are compared
// with them.
func baselines(all []*contender, revision string) (more []*contender) {
	for _, c := range all {
		if !c.own {
			continue
		}
		b := *c
		b.name, b.what, b.revision = c.name+"@"+revision, "the same, of "+revision, revision
		c.baseline = b.name
		more = append(more, &b)
	}
	return more
}

// setting is the argument of -variant, NAME=CONTENDER SETTING, of which there may be more, between spaces.
type setting struct {
	name, of string
	variant  variant
}

func parseSetting(v string) (setting, error) {
	name, rest, ok := strings.Cut(v, "=")
	fields := strings.Fields(rest)
	if !ok || name == "" || len(fields) < 2 {
		return setting{}, fmt.Errorf("%q is not NAME=CONTENDER SETTING", v)
	}
	s := setting{name: name, of: fields[0]}
	for _, f := range fields[1:] {
		switch {
		case strings.HasPrefix(f, "-"):
			s.variant.args = append(s.variant.args, f)
		case strings.Index(f, "=") > 0:
			s.variant.env = append(s.variant.env, f)
		default:
			return setting{}, fmt.Errorf("%q is neither VARIABLE=VALUE nor -flag=value", f)
		}
	}
	return s, nil
}

// contender makes the contender of s, which is compared with the one without settings.
func (s setting) contender() (*contender, error) {
	all := sluices()
	i := slices.IndexFunc(all, func(c *contender) bool { return c.name == s.of })
	if i < 0 {
		return nil, fmt.Errorf("-variant %s: %q is none of this project's contenders; -list prints all", s.name, s.of)
	}
	c := all[i]
	if len(s.variant.args) > 0 && len(c.builds) == 1 {
		return nil, fmt.Errorf("-variant %s: %s is an argument for an activator, and %s has none", s.name, s.variant.args[0], s.of)
	}
	c.name, c.baseline, c.variant = s.name, s.of, s.variant
	c.what += "; " + strings.Join(slices.Concat(s.variant.env, s.variant.args), " ")
	return c, nil
}
