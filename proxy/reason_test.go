package proxy

import "testing"

// The closed list, written out once more: dashboards, alerts and clients go by these words and numbers (RFC 9209 §2.3,
// docs/operations.md).
func TestReasonsOfTheContract(t *testing.T) {
	type row struct {
		rfc9209 string
		status  int
		grpc    uint8
	}
	want := map[string]row{
		"unknown_revision":   {"destination_not_found", 404, 5},
		"queue_full":         {"connection_limit_reached", 503, 8},
		"queue_timeout":      {"destination_unavailable", 503, 14},
		"busy":               {"destination_unavailable", 503, 14},
		"draining":           {"destination_unavailable", 503, 14},
		"not_ready":          {"destination_unavailable", 503, 14},
		"connect_refused":    {"connection_refused", 502, 14},
		"connect_timeout":    {"connection_timeout", 502, 14},
		"upstream_closed":    {"connection_terminated", 502, 14},
		"response_truncated": {"http_response_incomplete", 502, 14},
		"timeout_start":      {"http_response_timeout", 504, 4},
		"timeout_total":      {"http_response_timeout", 504, 4},
		"timeout_idle":       {"connection_read_timeout", 504, 4},
		"bad_request":        {"http_request_error", 400, 13},
		"bad_response":       {"http_protocol_error", 502, 13},
		"tls":                {"tls_certificate_error", 502, 14},
		"client_gone":        {"", 499, 1},
		"internal":           {"proxy_internal_error", 500, 13},
	}
	for _, r := range Reasons() {
		if got := (row{r.ProxyStatus(), r.Status(), reasonTable[r].grpc}); got != want[r.String()] {
			t.Errorf("%s: %+v, want %+v", r, got, want[r.String()])
		}
	}
	if n := len(Reasons()); n != len(want) {
		t.Errorf("%d reasons, want %d", n, len(want))
	}
}
