package knative

import "testing"

func TestProxyDetails(t *testing.T) {
	for field, want := range map[string]string{
		``: ``,
		`sluice-queue-proxy; error=destination_unavailable`:                                           ``,
		`sluice-queue-proxy; error=destination_unavailable; details="not_ready"`:                      ``,
		`sluice-queue-proxy; error=destination_unavailable; details="not_ready: it \"says\" \\ this"`: `it "says" \ this`,
		`x; details="unclosed: abc\`:                                                                  `abc`,
	} {
		if got := ProxyDetails(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
}
