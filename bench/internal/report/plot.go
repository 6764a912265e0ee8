package report

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Measures of the chart, in pixels.
const (
	panels     = 3 // beside each other
	panelWidth = 300
	margin     = 16
	nameWidth  = 92
	valueWidth = 44
	barHeight  = 12
	rowHeight  = 17
	titleSpace = 34
)

// beyond is the ratio at which a bar is cut off, so that bars near the base can be compared.
const beyond = 3.0

// Plot writes a chart in SVG: a panel for each scenario of the base, with a bar for each contender, whose length is the ratio
// of its cost to the base's.
func (r *Report) Plot(w io.Writer) error {
	var b strings.Builder
	x, y, highest, count := margin, titleSpace+margin, 0, 0
	for _, s := range r.Scenarios {
		base := s.Row(r.Base)
		if base == nil || len(base.Samples) == 0 {
			continue
		}
		if count > 0 && count%panels == 0 {
			x, y, highest = margin, y+highest+margin, 0
		}
		highest = max(highest, s.panel(&b, x, y, base))
		x += panelWidth + margin
		count++
	}
	width, height := margin+min(max(count, 1), panels)*(panelWidth+margin), y+highest+margin
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">
<style>rect.page{fill:#fff}text{fill:#222}.what{fill:#666;font-size:10px}.bar{fill:#b8bec6}.own{fill:#2a7de1}.base{fill:#6b7480}line{stroke:#222;stroke-dasharray:2 2}
@media(prefers-color-scheme:dark){rect.page{fill:#0d1117}text{fill:#e6edf3}.what{fill:#8b949e}.bar{fill:#484f58}.own{fill:#58a6ff}.base{fill:#8b949e}line{stroke:#e6edf3}}</style>
<rect class="page" width="100%%" height="100%%"/>
<text x="%d" y="%d" font-size="14" font-weight="bold">Cost beside %s (less is better)</text>
%s</svg>
`, width, height, width, height, margin, margin+8, html.EscapeString(r.Base), b.String())
	return err
}

// panel draws s with its upper left corner at x, y, and returns its height.
func (s *Scenario) panel(b *strings.Builder, x, y int, base *Row) (height int) {
	text(b, x, y+10, ` font-weight="bold"`, s.Name)
	text(b, x, y+23, ` class="what"`, s.Kind.what())
	row := y + titleSpace
	for _, r := range s.Rows {
		if len(r.Samples) > 0 {
			s.bar(b, x, row, r, base)
			row += rowHeight
		}
	}
	rule := x + nameWidth + length(1)
	fmt.Fprintf(b, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", rule, y+titleSpace-3, rule, row-2)
	return row - y
}

// bar draws a contender's name, its bar, and the figure, which stands to the right of the base's line.
func (s *Scenario) bar(b *strings.Builder, x, y int, r, base *Row) {
	share := r.Ratio(base, s.Kind.Cost)
	left, width := x+nameWidth, length(math.Min(share, beyond))
	text(b, x, y+barHeight-2, "", r.Contender)
	fmt.Fprintf(b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"><title>%s</title></rect>\n",
		r.class(base), left, y, width, barHeight, html.EscapeString(s.Kind.FormatCost(Median(r.Values(s.Kind.Cost)))))
	label := fmt.Sprintf("%.2f", share)
	if share > beyond {
		label = fmt.Sprintf("→ %.1f", share)
	}
	text(b, left+max(width, length(1))+4, y+barHeight-2, "", label)
}

func text(b *strings.Builder, x, y int, attributes, content string) {
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\"%s>%s</text>\n", x, y, attributes, html.EscapeString(content))
}

func (r *Row) class(base *Row) string {
	switch {
	case r.Own:
		return "own"
	case r == base:
		return "base"
	}
	return "bar"
}

// length returns the length of a bar for a ratio.
func length(ratio float64) int {
	return int(math.Round(ratio / beyond * (panelWidth - nameWidth - valueWidth)))
}

// what describes the cost of a kind.
func (k Kind) what() string {
	switch k {
	case Transfer:
		return "CPU time per GiB"
	case Fairness:
		return "p99 ÷ p50"
	case Memory:
		return "memory per connection"
	}
	return "CPU time per request"
}
