package metrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

type someLog struct{}

func (someLog) Failed() uint64  { return 3 }
func (someLog) Dropped() uint64 { return 2 }

func TestRequestLogIsCounted(t *testing.T) {
	r := prometheus.NewRegistry()
	if err := RegisterRequestLog(r, someLog{}); err != nil {
		t.Fatal(err)
	}
	expect(t, exposed(t, r), map[string]string{
		"sluice_request_log_lines_lost_total": "2", "sluice_request_log_template_failures_total": "3",
	})
	if err := RegisterRequestLog(r, someLog{}); err == nil {
		t.Error("registered twice")
	}
}
