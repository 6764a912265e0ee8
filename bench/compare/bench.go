package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/report"
)

// base is the contender with which the others are compared.
const base = "nginx"

// memoryRounds bounds the rounds of scenarios of memory, which hardly differ and take long.
const memoryRounds = 3

// bench runs scenarios in rounds.
type bench struct {
	site     *site
	options  options
	stderr   io.Writer
	report   *report.Report
	crowd    int // connections where memory is measured
	settle   time.Duration
	failures int
	done     int
}

func newBench(ctx context.Context, s *site, o options, stderr io.Writer) *bench {
	return &bench{site: s, options: o, stderr: stderr, crowd: s.crowd(), settle: settling, report: &report.Report{
		When: time.Now().UTC(), Command: command(o.args),
		Machine: machine(s), Versions: versions(ctx, s), Rounds: o.rounds, Duration: o.duration, Base: base, Also: []string{"haproxy"},
	}}
}

// command is the shell command that repeats the comparison.
func command(args []string) string {
	all := []string{"go run ./bench/compare"}
	for _, arg := range args {
		if strings.ContainsAny(arg, " \t\n\"'$&|;<>()*?\\`") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		all = append(all, arg)
	}
	return strings.Join(all, " ")
}

// all measures all scenarios, until ctx ends.
func (b *bench) all(ctx context.Context) {
	for _, s := range b.options.scenarios {
		rows := &report.Scenario{Name: s.name, What: s.what, Kind: s.kind}
		b.report.Scenarios = append(b.report.Scenarios, rows)
		for _, c := range b.options.contenders {
			rows.Rows = append(rows.Rows, &report.Row{Contender: c.name, Own: c.own, Baseline: c.baseline, Omitted: c.omits(s)})
		}
		for round := range b.rounds(s) {
			for i := range b.options.contenders {
				if ctx.Err() != nil {
					return
				}
				i = (i + round) % len(b.options.contenders)
				b.one(ctx, s, b.options.contenders[i], rows.Rows[i], round+1)
			}
		}
	}
}

func (b *bench) rounds(s *scenario) int {
	if s.kind == report.Memory {
		return min(b.options.rounds, memoryRounds)
	}
	return b.options.rounds
}

// one measures a round and adds it to row, unless an earlier round of row has failed.
func (b *bench) one(ctx context.Context, s *scenario, c *contender, row *report.Row, round int) {
	b.done++
	if row.Omitted != "" || row.Failed != "" {
		return
	}
	sample, err := b.measure(ctx, s, c)
	said := s.kind.FormatCost(s.kind.Cost(sample))
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		row.Failed = strings.Join(strings.Fields(err.Error()), " ")
		b.failures++
		said = "FAILED: " + row.Failed
	default:
		sample.Round = round
		row.Samples = append(row.Samples, sample)
	}
	_, _ = fmt.Fprintf(b.stderr, "%d/%d %s, round %d, %s: %s\n", b.done, b.total(), s.name, round, c.name, said)
}

func (b *bench) total() (n int) {
	for _, s := range b.options.scenarios {
		n += b.rounds(s) * len(b.options.contenders)
	}
	return n
}

// measure starts the app and c, measures, and ends both.
func (b *bench) measure(ctx context.Context, s *scenario, c *contender) (report.Sample, error) {
	dir, err := os.MkdirTemp(b.site.dir, "")
	if err != nil {
		return report.Sample{}, err
	}
	app, err := b.site.startApp(ctx, dir, s.nginx)
	if err != nil {
		return report.Sample{}, err
	}
	defer app.stop()
	j := job{dir: dir, upstream: app.addr, protocol: s.protocol, app: s.app(), limit: s.limit, pods: manyPods, variant: c.variant}
	if s.clients > j.limit {
		j.queue = s.clients
	}
	if s.crowd {
		j.queue = b.crowd
	}
	if s.kind == report.Memory {
		j.connections = b.crowd
		j.pods = 1 // the memory for probing many pods, which shrinks meanwhile, would distort that of connections
	}
	st, err := c.start(b.site, j)
	if err != nil {
		return report.Sample{}, err
	}
	defer st.stop()
	if err := st.ready(ctx, s.protocol); err != nil {
		return report.Sample{}, err
	}
	return s.measure(ctx, &trial{
		dir: dir, app: app.addr, stand: st, duration: b.options.duration, crowd: b.crowd, settle: b.settle,
		target: load.Target{Addr: st.addr, Path: s.path, Protocol: s.protocol, Header: s.header},
	})
}
