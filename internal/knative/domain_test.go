package knative

import "testing"

func TestClusterDomain(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "cluster.local",
		"search example.com\n": "cluster.local",
		"nameserver 10.0.0.10\nsearch default.svc.corp.test svc.corp.test corp.test\n": "corp.test",
		"search svc.corp.test.\n":                       "corp.test",
		"search mysvc.corp.test\n":                      "cluster.local",
		"# search a.svc.no\nsearch x y.svc.yes\n":       "yes",
		"search a.b\nsearch default.svc.later.domain\n": "later.domain",
	} {
		if got := domainOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAConfiguredClusterDomainWins(t *testing.T) {
	if got := ClusterDomain("corp.test"); got != "corp.test" {
		t.Error(got)
	}
}
