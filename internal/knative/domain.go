package knative

import (
	"os"
	"strings"
)

// ClusterDomain is how the names of Services end: what is configured if anything is, else what /etc/resolv.conf says,
// else cluster.local.
func ClusterDomain(configured string) string {
	if configured != "" {
		return configured
	}
	resolvConf, _ := os.ReadFile("/etc/resolv.conf") // none is as good as one that says nothing
	return domainOf(string(resolvConf))
}

// domainOf is what follows "svc." in the first such entry of a search line of a resolv.conf.
func domainOf(resolvConf string) string {
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "search" {
			continue
		}
		for _, entry := range fields[1:] {
			if _, domain, ok := strings.Cut("."+strings.TrimSuffix(entry, "."), ".svc."); ok && domain != "" {
				return domain
			}
		}
	}
	return "cluster.local"
}
