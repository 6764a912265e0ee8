package proxy

import (
	"errors"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

func TestRejectionsAreClosed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rejections() {
		if r.String() == "" || seen[r.String()] || r.Status() < 400 || RejectionOf(r.with(": more")) != r {
			t.Errorf("%d: %q, %d", r, r, r.Status())
		}
		seen[r.String()] = true
	}
	for err, want := range map[error]string{
		h1.ErrNoHost: "missing Host", h1.ErrExpect: "unknown expectation", tooManyOptions: "too many options in Connection",
		h1.ErrChunkSize: "other", errors.New("missing Host"): "other", &Error{Reason: BadRequest}: "other",
	} {
		if got := RejectionOf(&Error{Err: err}).String(); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if e := noRoom.with(": of %d", 5); e.Error() != "no room for a connection (RFC 9110 §15.6.4): of 5" || e.Status != 503 {
		t.Errorf("%v, %d", e, e.Status)
	}
}
