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

var columns = []string{"scenario", "proxy", "rate", "±", "cost", "±", "÷ base", "p50", "p99", "÷ base", "p99.9", "memory"}

// texts is the number of columns with text, which come first.
const texts = 2

// Table writes a table in Markdown, and below it the meaning of its columns.
func (r *Report) Table(w io.Writer) error {
	header := append([]string(nil), columns...)
	for i, c := range header {
		header[i] = strings.Replace(c, "base", r.Base, 1)
	}
	rows := [][]string{header}
	for _, s := range r.Scenarios {
		for i, row := range s.Rows {
			name := ""
			if i == 0 {
				name = s.Name
			}
			rows = append(rows, append([]string{name, row.Contender}, s.cells(row, s.Row(r.Base))...))
		}
	}
	if err := markdown(w, rows); err != nil {
		return err
	}
	if err := r.notes(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s of %v; ± is half of what lies between the least and the greatest. Cost: CPU time of the proxy (user\n"+
		"and system) per request or per GiB, or its memory per connection; of a limit, p99 ÷ p50. ÷ %s: in the same round. Memory: VmRSS.\n%s; %s\n%s\n",
		medians(r.Rounds), r.Duration, r.Base, r.Machine, r.versions(), r.Command)
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
func (s *Scenario) cells(row, base *Row) []string {
	cells := make([]string, len(columns)-texts)
	if len(row.Samples) > 0 {
		cells = s.measured(row, base)
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

func (s *Scenario) measured(row, base *Row) []string {
	rate := row.Values(s.Kind.rate)
	cost := row.Values(s.Kind.Cost)
	latency := func(of func(Sample) time.Duration) string {
		all := row.Values(func(s Sample) float64 { return float64(of(s)) })
		if slices.Min(all) == 0 { // a round was too short for this percentile
			return ""
		}
		return short(time.Duration(Median(all)))
	}
	p99 := func(s Sample) float64 { return float64(s.P99) }
	return []string{
		s.Kind.formatRate(Median(rate)), percent(rate),
		s.Kind.FormatCost(Median(cost)), percent(cost), ratio(row.Ratio(base, s.Kind.Cost)),
		latency(func(s Sample) time.Duration { return s.P50 }),
		latency(func(s Sample) time.Duration { return s.P99 }), ratio(row.Ratio(base, p99)),
		latency(func(s Sample) time.Duration { return s.P999 }),
		fmt.Sprintf("%.1f MiB", Median(row.Values(func(s Sample) float64 { return float64(s.Resident) }))/(1<<20)),
	}
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
