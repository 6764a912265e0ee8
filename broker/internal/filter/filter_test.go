package filter

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

type values = map[string]string

// eventOf makes an event of 1.0 with the attributes given, besides the required ones.
func eventOf(t testing.TB, attributes values) *cloudevent.Event {
	t.Helper()
	a := values{"specversion": "1.0", "id": "1", "source": "/shop", "type": "com.example.order"}
	maps.Copy(a, attributes)
	e, err := cloudevent.New(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

func TestMatch(t *testing.T) {
	order := eventOf(t, values{"subject": "order 7", "ext": "x", "empty": "", "n": "10", "flag": "true", "datacontenttype": "application/json; charset=utf-8", "dataschema": "https://a/b"})
	old := eventOf(t, values{"specversion": "0.3", "schemaurl": "/x"})
	exact := func(v values) Expression { return Expression{Exact: v} }
	yes, no := exact(values{"ext": "x"}), exact(values{"ext": "y"})
	for _, test := range []struct {
		name  string
		event *cloudevent.Event
		spec  Spec
		want  bool
	}{
		{"nothing", order, Spec{}, true},
		{"an attribute", order, Spec{Attributes: values{"type": "com.example.order"}}, true},
		{"another value", order, Spec{Attributes: values{"type": "com.example.Order"}}, false},
		{"two attributes", order, Spec{Attributes: values{"type": "com.example.order", "ext": "x"}}, true},
		{"one of two attributes", order, Spec{Attributes: values{"type": "com.example.order", "ext": "y"}}, false},
		{"any value", order, Spec{Attributes: values{"subject": ""}}, true},
		{"any value of what is missing", order, Spec{Attributes: values{"time": ""}}, false},
		{"any value of what is empty", order, Spec{Attributes: values{"empty": ""}}, false},
		{"version", old, Spec{Attributes: values{"specversion": "0.3"}}, true},
		{"media type", order, Spec{Attributes: values{"datamediatype": "application/json"}}, true},
		{"schema by its old name", order, Spec{Attributes: values{"schemaurl": "https://a/b"}}, true},
		{"schema by its new name", old, Spec{Attributes: values{"dataschema": "/x"}}, true},
		{"filters win", order, Spec{Attributes: values{"type": "another"}, Filters: []Expression{yes}}, true},
		{"filters win, too few", order, Spec{Attributes: values{"ext": "x"}, Filters: []Expression{no}}, false},
		{"no filters", order, Spec{Attributes: values{"ext": "y"}, Filters: []Expression{}}, false},
		{"all filters", order, Spec{Filters: []Expression{yes, no}}, false},
		{"no dialect", order, Spec{Filters: []Expression{{}}}, true},
		{"several values", order, Spec{Filters: []Expression{exact(values{"ext": "x", "n": "10"})}}, true},
		{"several values, one wrong", order, Spec{Filters: []Expression{exact(values{"ext": "x", "n": "1"})}}, false},
		{"prefix", order, Spec{Filters: []Expression{{Prefix: values{"type": "com.example.", "subject": "order "}}}}, true},
		{"another prefix", order, Spec{Filters: []Expression{{Prefix: values{"type": "example"}}}}, false},
		{"prefix of what is missing", order, Spec{Filters: []Expression{{Prefix: values{"time": "2"}}}}, false},
		{"suffix", order, Spec{Filters: []Expression{{Suffix: values{"type": ".order"}}}}, true},
		{"another suffix", order, Spec{Filters: []Expression{{Suffix: values{"type": "example"}}}}, false},
		{"all", order, Spec{Filters: []Expression{{All: []Expression{yes, {Suffix: values{"ext": "x"}}}}}}, true},
		{"not all", order, Spec{Filters: []Expression{{All: []Expression{yes, no}}}}, false},
		{"any", order, Spec{Filters: []Expression{{Any: []Expression{no, yes}}}}, true},
		{"not any", order, Spec{Filters: []Expression{{Any: []Expression{no, no}}}}, false},
		{"not", order, Spec{Filters: []Expression{{Not: &no}}}, true},
		{"not not", order, Spec{Filters: []Expression{{Not: &Expression{Not: &no}}}}, false},
		{"nested", order, Spec{Filters: []Expression{{Any: []Expression{no, {All: []Expression{yes, {Not: &no}, {CESQL: "n > 9"}}}}}}}, true},
		{"CESQL", order, Spec{Filters: []Expression{{CESQL: "type LIKE 'com.%' AND EXISTS subject AND subject IN ('order 7', 'order 8')"}}}, true},
		{"CESQL, false", order, Spec{Filters: []Expression{{CESQL: "EXISTS time"}}}, false},
		{"CESQL, 0.3", old, Spec{Filters: []Expression{{CESQL: "specversion = '0.3' AND dataschema = '/x'"}}}, true},
		{"CESQL, capitals", order, Spec{Filters: []Expression{{CESQL: "SUBJECT = 'order 7' and exists EXT"}}}, true},
		{"CESQL, 1.0 has no schemaurl", order, Spec{Filters: []Expression{{CESQL: "EXISTS schemaurl"}}}, false},
		{"CESQL, an attribute that is a boolean to its sender", order, Spec{Filters: []Expression{{CESQL: "flag"}}}, true},
		{"CESQL, an attribute that is none", order, Spec{Filters: []Expression{{CESQL: "n"}}}, false},
		{"CESQL, an integer", order, Spec{Filters: []Expression{{CESQL: "n - 9"}}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Compile(test.spec)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Match(test.event)
			noBoolean := test.name == "CESQL, an integer" || test.name == "CESQL, an attribute that is none"
			if (err != nil) != noBoolean || err != nil && !strings.HasSuffix(err.Error(), "and a filter's has to be TRUE or FALSE") {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	deep := Expression{CESQL: "a ="}
	for _, test := range []struct {
		spec Spec
		want string
	}{
		{Spec{Attributes: values{"Type": "x"}}, `filter.attributes: "Type" is no name`},
		{Spec{Attributes: values{"1a": "x"}}, `filter.attributes: "1a" is no name`},
		{Spec{Attributes: values{"": "x"}}, `filter.attributes: "" is no name`},
		{Spec{Filters: []Expression{{}, {Exact: values{"a-b": "x"}}}}, `filters[1].exact: "a-b" is no name`},
		{Spec{Filters: []Expression{{Prefix: values{"a": ""}}}}, `filters[0].prefix.a: is empty`},
		{Spec{Filters: []Expression{{Suffix: values{}}}}, `filters[0].suffix: is empty`},
		{Spec{Filters: []Expression{{All: []Expression{}}}}, `filters[0].all: is empty`},
		{Spec{Filters: []Expression{{Exact: values{"a": "b"}, CESQL: "TRUE"}}}, `filters[0]: has both exact and cesql`},
		{Spec{Filters: []Expression{{Any: []Expression{{}, deep}}}}, `filters[0].any[1].cesql: "a =" is no CESQL: column 4: found the end, expected an attribute`},
		{Spec{Filters: []Expression{{Not: &Expression{All: []Expression{deep}}}}}, `filters[0].not.all[0].cesql: `},
	} {
		if f, err := Compile(test.spec); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: %v, %v, want %q", test.spec, f, err, test.want)
		}
	}
}

// A Set finds what each of its filters finds.
func TestSetAgainstItsFilters(t *testing.T) {
	name := rapid.SampledFrom([]string{"type", "subject", "a", "b"})
	value := rapid.SampledFrom([]string{"x", "y", "z"})
	tests := rapid.MapOfN(name, value, 1, 3)
	var expression func(depth int) *rapid.Generator[Expression]
	expression = func(depth int) *rapid.Generator[Expression] {
		return rapid.Custom(func(t *rapid.T) Expression {
			kinds := 5
			if depth == 0 {
				kinds = 2
			}
			nested := func() []Expression { return rapid.SliceOfN(expression(depth-1), 1, 3).Draw(t, "nested") }
			switch rapid.IntRange(0, kinds).Draw(t, "dialect") {
			case 0:
				return Expression{Exact: tests.Draw(t, "exact")}
			case 1:
				return Expression{Prefix: tests.Draw(t, "prefix")}
			case 2:
				return Expression{CESQL: name.Draw(t, "name") + " = '" + value.Draw(t, "value") + "'"}
			case 3:
				return Expression{All: nested()}
			case 4:
				return Expression{Any: nested()}
			}
			return Expression{Not: &nested()[0]}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		var filters []*Filter
		for range rapid.IntRange(0, 10).Draw(t, "filters") {
			spec := Spec{Attributes: rapid.MapOfN(name, rapid.SampledFrom([]string{"", "x", "y"}), 0, 3).Draw(t, "attributes")}
			if rapid.Bool().Draw(t, "filters") {
				spec = Spec{Filters: rapid.SliceOfN(expression(2), 0, 3).Draw(t, "expressions")}
			}
			f, err := Compile(spec)
			if err != nil {
				t.Fatal(err)
			}
			filters = append(filters, f)
		}
		set := NewSet(filters)
		for range 3 {
			attributes := values{"specversion": "1.0", "id": "1", "source": "/", "type": value.Draw(t, "type")}
			maps.Copy(attributes, rapid.MapOfN(rapid.SampledFrom([]string{"subject", "a", "b"}), value, 0, 3).Draw(t, "event"))
			e, err := cloudevent.New(attributes, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := set.Match(&e, nil)
			slices.SortFunc(got, func(a, b Match) int { return a.Index - b.Index })
			for i, f := range filters {
				passes, err := f.Match(&e)
				found := slices.IndexFunc(got, func(m Match) bool { return m.Index == i })
				switch {
				case found < 0 && passes:
					t.Fatalf("%v passes filter %d, and the set doesn't find it", attributes, i)
				case found >= 0 && (got[found].Passes != passes || (got[found].Err == nil) != (err == nil)):
					t.Fatalf("%v with filter %d: %v %v, and by the set %+v", attributes, i, passes, err, got[found])
				}
			}
			if len(slices.CompactFunc(got, func(a, b Match) bool { return a.Index == b.Index })) != len(got) {
				t.Fatal("a filter is there twice")
			}
		}
	})
}

func TestKey(t *testing.T) {
	e := eventOf(t, values{"subject": "order 7", "n": "10"})
	for _, test := range []struct{ text, want, err string }{
		{"subject", "order 7", ""},
		{"n", "10", ""},
		{"time", "", "the event has no key: no attribute time"},
		{"CONCAT(type, '/', subject)", "com.example.order/order 7", ""},
		{"n % 4", "2", ""},
		{"n > 4", "true", ""},
		{"LEFT(time, 3)", "", "the event has no key: column 6: the event has no attribute time"},
		{"INT(subject)", "", "column 5: \"order 7\" is no Integer"},
	} {
		k, err := CompileKey(test.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Of(e)
		if got != test.want && test.err == "" || (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
			t.Errorf("%s: %q, %v, want %q, %q", test.text, got, err, test.want, test.err)
		}
	}
	if _, err := CompileKey("a b"); err == nil {
		t.Error("a b is a key")
	}
}

func TestFiltersDoNotAllocate(t *testing.T) {
	f, err := Compile(Spec{Attributes: values{"type": "com.example.order", "source": "/shop"}})
	if err != nil {
		t.Fatal(err)
	}
	inCESQL, err := Compile(Spec{Filters: []Expression{{CESQL: "type LIKE 'com.%' AND subject = '7'"}}})
	if err != nil {
		t.Fatal(err)
	}
	e, matches := eventOf(t, nil), make([]Match, 0, 1000)
	sets := NewSet(slices.Repeat([]*Filter{f}, 1000))
	if n := testing.AllocsPerRun(100, func() { _, _ = f.Match(e) }); n > 0 {
		t.Errorf("a filter allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = inCESQL.Match(e) }); n > 0 {
		t.Errorf("a filter in CESQL allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { sets.Match(e, matches) }); n > 0 {
		t.Errorf("a set allocates %v times", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	e := eventOf(b, values{"subject": "order/4711", "time": "2026-11-30T04:46:26Z", "datacontenttype": "application/json", "partitionkey": "customer-17"})
	for name, spec := range map[string]Spec{
		"one attribute":  {Attributes: values{"type": "com.example.order"}},
		"two attributes": {Attributes: values{"type": "com.example.order", "source": "/shop"}},
		"CESQL":          {Filters: []Expression{{CESQL: "type = 'com.example.order' AND subject LIKE 'order/%'"}}},
	} {
		b.Run(name, func(b *testing.B) {
			f, err := Compile(spec)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if ok, err := f.Match(e); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkThousandTriggers(b *testing.B) {
	e := eventOf(b, values{"subject": "order/4711", "time": "2026-11-30T04:46:26Z", "datacontenttype": "application/json", "partitionkey": "customer-17"})
	for name, spec := range map[string]func(i int) Spec{
		"types of their own": func(i int) Spec {
			return Spec{Attributes: values{"type": "com.example.order" + strings.Repeat("x", i)}}
		},
		"the same type": func(int) Spec { return Spec{Attributes: values{"type": "com.example.order"}} },
		"the same two":  func(int) Spec { return Spec{Attributes: values{"type": "com.example.order", "source": "/shop"}} },
		"32 types, 32 sources": func(i int) Spec {
			return Spec{Attributes: values{"type": "com.example.order" + strings.Repeat("x", i%32), "source": "/shop" + strings.Repeat("x", i/32)}}
		},
		"the same type, sources": func(i int) Spec {
			return Spec{Attributes: values{"type": "com.example.order", "source": "/shop" + strings.Repeat("x", i)}}
		},
	} {
		var filters []*Filter
		for i := range 1000 {
			f, err := Compile(spec(i))
			if err != nil {
				b.Fatal(err)
			}
			filters = append(filters, f)
		}
		b.Run(name+", one by one", func(b *testing.B) {
			for b.Loop() {
				for _, f := range filters {
					_, _ = f.Match(e)
				}
			}
		})
		b.Run(name+", set", func(b *testing.B) {
			set, matches := NewSet(filters), []Match(nil)
			for b.Loop() {
				matches = set.Match(e, matches[:0])
			}
		})
	}
}
