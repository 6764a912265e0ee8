package knative

import (
	"os"
	"strings"
)

// ClusterDomain returns the DNS suffix of the names of Services: configured if it is set, else that of /etc/resolv.conf,
// else cluster.local.
func ClusterDomain(configured string) string {
	if configured != "" {
		return configured
	}
	resolvConf, _ := os.ReadFile("/etc/resolv.conf") // a missing file has no domain
	return domainOf(string(resolvConf))
}

// domainOf returns what follows "svc." in the first such entry of a search line of a resolv.conf.
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
