package activator

import (
	"strings"
	"testing"
)

// FuzzParseHost: a revision is found only in <revision>.<namespace>.svc.<domain>, and it is the one that is written there.
func FuzzParseHost(f *testing.F) {
	for _, s := range []string{
		"rev.default.svc.cluster.local", "REV.Default.SVC.cluster.local.:80", "rev.default.svc.cluster.local:", "a.b.c.svc.cluster.local",
		".default.svc.cluster.local", "rev..svc.cluster.local", "svc.cluster.local", "[::1]:80", "rev.default.svc.cluster.local..", ":.0.SVC.Cluster.loCAl:", "",
	} {
		f.Add(s)
	}
	const domain = "cluster.local"
	f.Fuzz(func(t *testing.T, host string) {
		namespace, name, ok := parseHost(host, domain)
		if !ok {
			if namespace != "" || name != "" {
				t.Fatalf("%q: %q, %q with no", host, namespace, name)
			}
			return
		}
		written := name + "." + namespace + ".svc." + domain
		plain, _, _ := strings.Cut(strings.ToLower(host), ":")
		if strings.TrimSuffix(plain, ".") != written || strings.ContainsAny(name+namespace, ".:") || name == "" || namespace == "" {
			t.Fatalf("%q: revision %q of namespace %q", host, name, namespace)
		}
		if ns, n, ok := parseHost(written, domain); !ok || ns != namespace || n != name {
			t.Fatalf("%q: read again: %q, %q, %v", written, ns, n, ok)
		}
	})
}
