package e2e

import "testing"

// Real servers are the apps, and real clients use them through the binaries.
func TestRealApps(t *testing.T) {
	s := newRealApps(t, servers...)
	t.Run("curl", s.curl)
	t.Run("wrk", s.wrk)
	t.Run("h2load", s.h2load)
	t.Run("nghttp", s.nghttp)
	t.Run("fetch", s.nodeClient)
	t.Run("http.client", s.pythonClient)
	t.Run("chromium", s.browser)
}
