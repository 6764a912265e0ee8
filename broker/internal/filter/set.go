package filter

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// Set is many filters, of which it finds those that an event passes without trying each one. Filters that want exact values of
// attributes are looked up by one of these, by the one that the fewest others want; and those that want the same are one filter.
type Set struct {
	byValue map[string]map[string][]*group // by attribute and value
	others  []*group                       // which have to be tried
}

// group are filters that are the same.
type group struct {
	root    *node
	filters []int
}

// Match is a filter that an event has passed, or whose expression has failed, or both.
type Match struct {
	Index  int // of the filter in the Set
	Passes bool
	Err    error // as by Filter.Match
}

// NewSet makes a Set of filters, which are told apart by their indexes.
func NewSet(filters []*Filter) *Set {
	var groups []*group
	same := map[string]*group{}
	wanted := map[test]int{}
	for i, f := range filters {
		tests, complete := f.root.exactTests()
		name := nameOf(tests)
		if g := same[name]; complete && g != nil {
			g.filters = append(g.filters, i)
			continue
		}
		g := &group{&f.root, []int{i}}
		if complete {
			same[name] = g
		}
		groups = append(groups, g)
		for _, t := range tests {
			wanted[t]++
		}
	}
	s := &Set{byValue: map[string]map[string][]*group{}}
	for _, g := range groups {
		tests, _ := g.root.exactTests()
		if len(tests) == 0 {
			s.others = append(s.others, g)
			continue
		}
		rarest := slices.MinFunc(tests, func(a, b test) int { return wanted[a] - wanted[b] })
		byValue := s.byValue[rarest.name]
		if byValue == nil {
			byValue = map[string][]*group{}
			s.byValue[rarest.name] = byValue
		}
		byValue[rarest.value] = append(byValue[rarest.value], g)
	}
	return s
}

// Match appends what an event matches to matches, in no order.
func (s *Set) Match(event *cloudevent.Event, matches []Match) []Match {
	e := evaluation{event: event}
	for name, byValue := range s.byValue {
		if value, ok := attribute(event, name); ok {
			matches = try(byValue[value], &e, matches)
		}
	}
	return try(s.others, &e, matches)
}

func try(groups []*group, e *evaluation, matches []Match) []Match {
	for _, g := range groups {
		e.err = nil
		if passes := g.root.match(e); passes || e.err != nil {
			for _, i := range g.filters {
				matches = append(matches, Match{i, passes, e.err})
			}
		}
	}
	return matches
}

// test is that an attribute has a value.
type test struct{ name, value string }

// exactTests are those that an event must pass for the node to match. They are complete if nothing else is to be tested.
func (n *node) exactTests() (tests []test, complete bool) {
	switch {
	case n.kind == exactly && n.value != "":
		return []test{{n.name, n.value}}, true
	case n.kind == allOf:
		complete = true
		for i := range n.nodes {
			t, c := n.nodes[i].exactTests()
			tests = append(tests, t...)
			complete = complete && c
		}
		return tests, complete
	}
	return nil, false
}

// nameOf gives equal tests the same name, and no others.
func nameOf(tests []test) string {
	slices.SortFunc(tests, func(a, b test) int { return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value)) })
	var name strings.Builder
	for _, t := range slices.Compact(tests) {
		fmt.Fprintf(&name, "%q=%q ", t.name, t.value)
	}
	return name.String()
}
