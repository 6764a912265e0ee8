// Package report turns what rounds of a comparison have measured into medians, and those into a table, JSON and a chart.
//
//	samples of rounds ──► Median, Spread, Ratio ──► Table (Markdown), JSON, Plot (SVG)
//
// A ratio is that of two contenders in the same round, and the median of those: what disturbs the machine for a while
// disturbs both.
package report
