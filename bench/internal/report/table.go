package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// texts is the number of columns with text, which come first.
const texts = 2

// comparison is a contender that rows are compared with: for each figure that is compared it has a column.
type comparison struct {
	name string
	with func(s *Scenario, row *Row) *Row // the row to compare with, or nil
}

// comparisons are those that some row has.
func (r *Report) comparisons() []comparison {
	var all []comparison
	for _, name := range append([]string{r.Base}, r.Also...) {
		all = append(all, comparison{name, func(s *Scenario, _ *Row) *Row { return s.Row(name) }})
	}
	all = append(all, comparison{"baseline", func(s *Scenario, row *Row) *Row { return s.Row(row.Baseline) }})
	return slices.DeleteFunc(all, func(c comparison) bool {
		return c.name != r.Base && !slices.ContainsFunc(r.Scenarios, func(s *Scenario) bool {
			return slices.ContainsFunc(s.Rows, func(row *Row) bool {
				with := c.with(s, row)
				return with != nil && len(with.Samples) > 0
			})
		})
	})
}

// header has the names of columns.
func header(with []comparison) []string {
	var ratios []string
	for _, c := range with {
		ratios = append(ratios, "÷ "+c.name)
	}
	return slices.Concat([]string{"scenario", "proxy", "rate", "±", "cost", "±"}, ratios, []string{"p50", "p99"}, ratios, []string{"p99.9", "memory"})
}

// Table writes a table in Markdown, and below it the meaning of its columns.
func (r *Report) Table(w io.Writer) error {
	with := r.comparisons()
	rows := [][]string{header(with)}
	for _, s := range r.Scenarios {
		for i, row := range s.Rows {
			name := ""
			if i == 0 {
				name = s.Name
			}
			rows = append(rows, append([]string{name, row.Contender}, s.cells(row, with)...))
		}
	}
	if err := markdown(w, rows); err != nil {
		return err
	}
	if err := r.notes(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s of %v; ± is half of what lies between the least and the greatest. Cost: CPU time of the proxy (user\n"+
		"and system) per request, message or GiB, or its memory per connection or waiting request; of a limit, p99 ÷ p50. ÷: in the same round;\n"+
		"baseline: the same contender of -baseline, or the one without the settings of -variant. Memory: VmRSS.\n%s; %s\n%s\n",
		medians(r.Rounds), r.Duration, r.Machine, r.versions(), r.Command)
	return err
}

func medians(rounds int) string {
	if rounds == 1 {
		return "One round"
	}
	return fmt.Sprintf("Medians of %d rounds", rounds)
}

func (r *Report) versions() string {
	all := slices.Sorted(maps.Values(r.Versions))
	return strings.Join(all, ", ")
}

// cells are the numbers of a row. For a contender without a measurement they are empty, and the notes have the reason.
func (s *Scenario) cells(row *Row, with []comparison) []string {
	cells := make([]string, len(header(with))-texts)
	if len(row.Samples) > 0 {
		cells = s.measured(row, with)
	}
	switch {
	case row.Failed != "":
		cells[0] = "**failed**"
	case len(row.Samples) == 0:
		cells[0] = "–"
	}
	return cells
}

// notes are the reasons why there is no measurement, or fewer than rounds.
func (r *Report) notes(w io.Writer) error {
	lead := "\n"
	for _, s := range r.Scenarios {
		for _, row := range s.Rows {
			note := row.Omitted
			if row.Failed != "" {
				note = fmt.Sprintf("failed after %d rounds: %s", len(row.Samples), row.Failed)
			}
			if note == "" {
				continue
			}
			if _, err := fmt.Fprintf(w, "%s- %s, %s: %s\n", lead, s.Name, row.Contender, note); err != nil {
				return err
			}
			lead = ""
		}
	}
	return nil
}

func (s *Scenario) measured(row *Row, with []comparison) []string {
	rate := row.Values(s.Kind.rate)
	cost := row.Values(s.Kind.Cost)
	latency := func(of func(Sample) time.Duration) string {
		all := row.Values(func(s Sample) float64 { return float64(of(s)) })
		if slices.Min(all) == 0 { // a round was too short for this percentile
			return ""
		}
		return short(time.Duration(Median(all)))
	}
	ratios := func(of func(Sample) float64) (all []string) {
		for _, c := range with {
			all = append(all, ratio(row.Ratio(c.with(s, row), of)))
		}
		return all
	}
	return slices.Concat([]string{
		s.Kind.formatRate(Median(rate)), percent(rate), s.Kind.FormatCost(Median(cost)), percent(cost),
	}, ratios(s.Kind.Cost), []string{
		latency(func(s Sample) time.Duration { return s.P50 }),
		latency(func(s Sample) time.Duration { return s.P99 }),
	}, ratios(func(s Sample) float64 { return float64(s.P99) }), []string{
		latency(func(s Sample) time.Duration { return s.P999 }),
		fmt.Sprintf("%.1f MiB", Median(row.Values(func(s Sample) float64 { return float64(s.Resident) }))/(1<<20)),
	})
}

func (k Kind) rate(s Sample) float64 {
	if k == Transfer {
		return s.Bytes
	}
	return s.Requests
}

func (k Kind) formatRate(v float64) string {
	switch {
	case v == 0:
		return ""
	case k == Transfer:
		return fmt.Sprintf("%.2f GiB/s", v/(1<<30))
	}
	return thousands(v) + "/s"
}

// FormatCost formats the result of Cost with its unit.
func (k Kind) FormatCost(v float64) string {
	switch k {
	case Transfer:
		return fmt.Sprintf("%.0f ms/GiB", v)
	case Fairness:
		return fmt.Sprintf("%.2f", v)
	case Memory:
		return fmt.Sprintf("%.1f KiB", v/1024)
	}
	return fmt.Sprintf("%.1f µs", v)
}

// thousands formats a number with spaces between groups of three digits.
func thousands(v float64) string {
	n := strconv.Itoa(int(math.Round(v)))
	for i := len(n) - 3; i > 0; i -= 3 {
		n = n[:i] + " " + n[i:]
	}
	return n
}

// percent formats the spread of values; it is empty for a single value or none.
func percent(values []float64) string {
	if len(values) < 2 || Median(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f %%", Spread(values)*100)
}

func ratio(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}

// short formats a latency with at most three digits.
func short(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case d == 0:
		return ""
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	default:
		return fmt.Sprintf("%.0f ms", ms)
	}
}

// markdown writes rows, of which the first is the header, in columns of even width, with numbers aligned to the right.
func markdown(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], 2, utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", width-1) + map[bool]string{true: "-", false: ":"}[i < texts]
	}
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < texts {
				cell, pad = pad, cell
			}
			if _, err := fmt.Fprintf(w, "| %s%s ", pad, cell); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w, "|"); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(rule, " | ")); err != nil {
			return err
		}
	}
	return nil
}
