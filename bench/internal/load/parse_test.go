package load

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const wrkReport = `Running 1s test @ http://127.0.0.1:1/hello
  1 threads and 4 connections
Requests/sec:  21043.10

RESULT {"requests":21043,"micros":1000100,"connect":0,"read":0,"write":0,"status":0,"timeout":0,"p50":180,"p99":1200,"p999":4096}
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(wrkReport)
	want := Result{
		Requests: 21043, Elapsed: 1000100 * time.Microsecond,
		P50: 180 * time.Microsecond, P99: 1200 * time.Microsecond, P999: 4096 * time.Microsecond,
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// A report of failures is an error and yields no figure.
func TestParseWrkRefuses(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{`"status":0`, `"status":3`, "of 21043 answers 3 were errors"},
		{`"connect":0`, `"connect":2`, "2 to connect"},
		{`"read":0`, `"read":7`, "7 to read"},
		{`"write":0`, `"write":8`, "8 to write"},
		{`"timeout":0`, `"timeout":9`, "9 waited too long"},
		{`"requests":21043`, `"requests":0`, "no request"},
		{"\nRESULT", "\nresult", "wrk's output is not a report: Running 1s"},
		{`"p50":180`, `"p50":nan`, "wrk: "},
	} {
		if _, err := parseWrk(strings.Replace(wrkReport, c.from, c.to, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.to, err, c.want)
		}
	}
}

const h2loadReport = `finished in 1.18s, 4630.00 req/s, 1017.53KB/s
requests: 4630 total, 4646 started, 4630 done, 4630 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4630 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1017.53KB (1041946) total, 226.07KB (231500) headers (space savings 49.49%), 54.26KB (55560) data
                     min         max         mean         sd        +/- sd
time for request:       96us    241.42ms      1.84ms     12.41ms    99.05%
`

func TestParseH2load(t *testing.T) {
	if r, err := parseH2load(h2loadReport, 12); err != nil || r.Requests != 4630 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"4630 succeeded, 0 failed", "4600 succeeded, 30 failed", "30 failed"},
		{"0 errored", "4 errored", "4 without an answer"},
		{"4630 2xx, 0 3xx, 0 4xx, 0 5xx", "4629 2xx, 0 3xx, 0 4xx, 1 5xx", "1 5xx"},
		{"4630 done, 4630 succeeded", "0 done, 0 succeeded", "no request"},
		{"(55560) data", "(55547) data", "2 of them without a body"},
		{"requests:", "request:", "h2load's output is not a report: finished"},
	} {
		_, err := parseH2load(strings.Replace(h2loadReport, c.from, c.to, 1), 12)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.to, err, c.want)
		}
	}
}

func TestParseH2loadLog(t *testing.T) {
	got, err := parseH2loadLog(strings.NewReader("1795385638004546\t200\t5461\n1795385638004548\t200\t96\tmore\n"))
	if want := []time.Duration{5461 * time.Microsecond, 96 * time.Microsecond}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"1\t503\t5\n", "1\t-1\t5\n", "1\t200\n", "1\t200\tx\n"} {
		if _, err := parseH2loadLog(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestPercentile(t *testing.T) {
	all := make([]time.Duration, 1000)
	for i := range all {
		all[i] = time.Duration(i + 1)
	}
	for p, want := range map[float64]time.Duration{50: 500, 99: 990, 99.9: 999, 100: 1000, 0: 1} {
		if got := percentile(all, p); got != want {
			t.Errorf("percentile %v: %d, want %d", p, got, want)
		}
	}
	if got := percentile(nil, 50); got != 0 {
		t.Errorf("of none: %v", got)
	}
	if got := percentile(all[:1], 99.9); got != 1 {
		t.Errorf("of one: %v", got)
	}
}

func TestFewRequestsHaveNoTail(t *testing.T) {
	few := []time.Duration{30, 10, 20}
	for requests, want := range map[int]Result{
		3: {P50: 20}, 99: {P50: 20}, 100: {P50: 20, P99: 30}, 999: {P50: 20, P99: 30}, 1000: {P50: 20, P99: 30, P999: 30},
	} {
		want.Requests = requests
		if got := (Result{Requests: requests}).summary(few); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
