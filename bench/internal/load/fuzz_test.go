package load

import (
	"strings"
	"testing"
	"time"
)

// A report without requests is an error.
func FuzzReports(f *testing.F) {
	f.Add(wrkReport)
	f.Add(h2loadReport)
	f.Add("1\t200\t5\n1\t503\t5\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseWrk(text); err == nil && (r.Requests == 0 || r.Elapsed == 0) {
			t.Errorf("wrk: %+v", r)
		}
		if r, err := parseH2load(text, 12); err == nil && r.Requests == 0 {
			t.Errorf("h2load: %+v", r)
		}
		all, err := parseH2loadLog(strings.NewReader(text))
		if r := (Result{Requests: 1000}).summary(all); err == nil && (r.P50 > r.P99 || r.P99 > r.P999) {
			t.Errorf("h2load's log: %v", []time.Duration{r.P50, r.P99, r.P999})
		}
	})
}
