// Package report computes medians of the rounds of a comparison, and writes a table, JSON and a chart.
//
//	samples of rounds ──► Median, Spread, Ratio ──► Table (Markdown), JSON, Plot (SVG)
//
// A ratio is the median of the ratios of two contenders in the same round, since a disturbance of the machine affects both.
package report
