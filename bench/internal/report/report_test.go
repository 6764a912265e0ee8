package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		values         []float64
		median, spread float64
	}{
		{nil, 0, 0},
		{[]float64{7}, 7, 0},
		{[]float64{9, 1, 5}, 5, 0.8},
		{[]float64{4, 1, 2, 9}, 3, 4.0 / 3},
		{[]float64{0, 0}, 0, 0},
	} {
		if m, s := Median(c.values), Spread(c.values); m != c.median || s != c.spread {
			t.Errorf("%v: median %v, spread %v; want %v, %v", c.values, m, s, c.median, c.spread)
		}
	}
}

// As many values are at most the median as are at least the median, and Median does not change its argument.
func TestMedianHasHalfOnEachSide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 20).Draw(t, "values")
		before := append([]float64(nil), values...)
		m := Median(values)
		below, above := 0, 0
		for _, v := range values {
			if v <= m {
				below++
			}
			if v >= m {
				above++
			}
		}
		if 2*below < len(values) || 2*above < len(values) {
			t.Fatalf("median %v of %v", m, values)
		}
		if !reflect.DeepEqual(values, before) {
			t.Fatal("the values were sorted in place")
		}
	})
}

// The ratio is computed within rounds, so that a slow machine, which affects both, does not change it.
func TestRatioIsOfTheSameRound(t *testing.T) {
	cpu := func(s Sample) float64 { return s.CPU }
	base := &Row{Samples: []Sample{{Round: 1, CPU: 10}, {Round: 2, CPU: 100}, {Round: 3, CPU: 10}}}
	row := &Row{Samples: []Sample{{Round: 1, CPU: 5}, {Round: 2, CPU: 50}, {Round: 3}, {Round: 4, CPU: 1}}}
	if got := row.Ratio(base, cpu); got != 0.5 {
		t.Errorf("%v, want 0.5", got)
	}
	for _, none := range []*Row{nil, {}, {Samples: []Sample{{Round: 1}}}} {
		if got := row.Ratio(none, cpu); got != 0 {
			t.Errorf("%v of a base without a measurement", got)
		}
	}
}

func example() *Report {
	rows := func(of func(cost float64, round int) Sample) []*Row {
		return []*Row{
			{Contender: "nginx", Samples: []Sample{of(10, 1), of(12, 2), of(11, 3)}},
			{Contender: "queue-proxy", Own: true, Samples: []Sample{of(9, 1), of(9, 2), of(12, 3)}},
			{Contender: "a<b", Samples: []Sample{of(80, 1)}, Failed: "status 503 | 2 of 7"},
			{Contender: "haproxy", Omitted: "it isn't there"},
		}
	}
	return &Report{
		When: time.Unix(0, 0).UTC(), Command: "go run ./bench/compare", Machine: "2 cores", Versions: map[string]string{"nginx": "nginx 1.22", "go": "go1.26"},
		Rounds: 3, Duration: 3 * time.Second, Base: "nginx",
		Scenarios: []*Scenario{
			{Name: "conns-64", What: "64 connections", Kind: Requests, Rows: rows(func(cost float64, round int) Sample {
				return Sample{Round: round, Requests: 21043, CPU: cost, P50: 1234 * time.Microsecond, P99: 20 * time.Millisecond, P999: time.Second, Resident: 5 << 20}
			})},
			{Name: "down-1g", Kind: Transfer, Rows: rows(func(cost float64, round int) Sample {
				return Sample{Round: round, Bytes: 3 << 29, CPUPerGiB: cost}
			})},
			{Name: "idle", Kind: Memory, Rows: rows(func(cost float64, round int) Sample {
				return Sample{Round: round, PerConnection: cost * 512}
			})},
			{Name: "limit", Kind: Fairness, Rows: rows(func(cost float64, round int) Sample {
				return Sample{Round: round, Requests: 400, P50: time.Second, P99: time.Duration(cost * float64(time.Second))}
			})},
		},
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := example().Table(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range []string{
		"| scenario | proxy | rate | ± | cost | ± | ÷ nginx | p50 | p99 | ÷ nginx | p99.9 | memory |",
		"| -------- | ----------- | ---------: | --: | --------: | ---: | ------: | ------: | -------: | ------: | ------: | ------: |",
		"| conns-64 | nginx | 21 043/s | 0 % | 11.0 µs | 9 % | 1.00 | 1.23 ms | 20.0 ms | 1.00 | 1000 ms | 5.0 MiB |",
		"| | queue-proxy | 21 043/s | 0 % | 9.0 µs | 17 % | 0.90 | 1.23 ms | 20.0 ms | 1.00 | 1000 ms | 5.0 MiB |",
		"| | a<b | **failed** | | 80.0 µs | | 8.00 | 1.23 ms | 20.0 ms | 1.00 | 1000 ms | 5.0 MiB |",
		"| | haproxy | – | | | | | | | | | |",
		"| down-1g | nginx | 1.50 GiB/s | 0 % | 11 ms/GiB | 9 % | 1.00 | | | | | 0.0 MiB |",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d:\n%s\nwant:\n%s", i, got, want)
		}
	}
	width := len([]rune(lines[0]))
	for _, line := range lines[:17] {
		if n := len([]rune(line)); n != width {
			t.Errorf("%d wide, the first line is %d:\n%s", n, width, line)
		}
	}
	for _, want := range []string{
		" 5.5 KiB ", " 11.00 ",
		"\n- conns-64, a<b: failed after 1 rounds: status 503 | 2 of 7\n", "\n- limit, haproxy: it isn't there\n",
		"\n2 cores; go1.26, nginx 1.22\n", "\nMedians of 3 rounds of 3s; ", "\ngo run ./bench/compare\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// There are columns for more contenders to compare with, if those take part, and for the baselines of some rows.
func TestComparisons(t *testing.T) {
	row := func(name, baseline string, cost float64) *Row {
		return &Row{Contender: name, Baseline: baseline, Samples: []Sample{{Round: 1, CPU: cost, P99: time.Duration(cost) * time.Millisecond}}}
	}
	r := &Report{Base: "nginx", Also: []string{"haproxy", "envoy"}, Scenarios: []*Scenario{{Name: "x", Kind: Requests, Rows: []*Row{
		row("nginx", "", 10), row("haproxy", "", 20), row("pair", "pair@main", 30), row("pair@main", "", 60),
	}}}}
	var b strings.Builder
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range map[int]string{
		0: "| scenario | proxy | rate | ± | cost | ± | ÷ nginx | ÷ haproxy | ÷ baseline | p50 | p99 | ÷ nginx | ÷ haproxy | ÷ baseline | p99.9 | memory |",
		4: "| | pair | | | 30.0 µs | | 3.00 | 1.50 | 0.50 | | 30.0 ms | 3.00 | 1.50 | 0.50 | | 0.0 MiB |",
		5: "| | pair@main | | | 60.0 µs | | 6.00 | 3.00 | | | 60.0 ms | 6.00 | 3.00 | | | 0.0 MiB |",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d:\n%s\nwant:\n%s", i, got, want)
		}
	}
}

// A percentile that not all rounds have is not printed.
func TestLatencyOfEveryRound(t *testing.T) {
	s := &Scenario{Kind: Requests, Rows: []*Row{{Samples: []Sample{{Round: 1, P50: 1e6, P99: 2e6, P999: 3e6}, {Round: 2, P50: 1e6, P99: 2e6}}}}}
	cells := s.cells(s.Rows[0], nil)
	if cells[4] != "1.00 ms" || cells[5] != "2.00 ms" || cells[6] != "" {
		t.Errorf("%q", cells)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	r := example()
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*r, back) {
		t.Errorf("%+v came back as %+v", *r, back)
	}
}

func TestPlot(t *testing.T) {
	var b strings.Builder
	if err := example().Plot(&b); err != nil {
		t.Fatal(err)
	}
	bars, texts := 0, ""
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "rect" {
				bars++
			}
		case xml.CharData:
			texts += strings.TrimSpace(string(token)) + "\n"
		}
	}
	if bars != 1+4*3 {
		t.Errorf("%d bars", bars)
	}
	for _, want := range []string{"conns-64\n", "a<b\n", "0.90\n", "→ 8.0\n", "CPU time per GiB\n", "9.0 µs\n"} {
		if !strings.Contains(texts, want) {
			t.Errorf("no %q in the chart", want)
		}
	}
	if strings.Contains(texts, "haproxy") {
		t.Error("a contender without a measurement has a bar")
	}
}

// A report without the base does not fail.
func TestPlotOfNothing(t *testing.T) {
	for _, r := range []*Report{{}, {Base: "nginx", Scenarios: []*Scenario{{Name: "x"}}}} {
		var b strings.Builder
		if err := r.Plot(&b); err != nil || !strings.HasSuffix(b.String(), "</svg>\n") {
			t.Errorf("%v:\n%s", err, b.String())
		}
	}
}
