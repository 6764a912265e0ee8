package e2e

import "testing"

// Real servers as apps, with real clients before the binaries.
func TestRealApps(t *testing.T) {
	s := newStreet(t, houses...)
	t.Run("curl", s.curl)
	t.Run("wrk", s.wrk)
	t.Run("h2load", s.h2load)
	t.Run("nghttp", s.nghttp)
	t.Run("fetch", s.nodeClient)
	t.Run("http.client", s.pythonClient)
	t.Run("chromium", s.browser)
}
