package knative

import "strings"

// ProxyDetails returns the details of a Proxy-Status field of Sluice's proxies without the name of the reason (RFC 9209
// §2.1.5); "" if there are none.
func ProxyDetails(field string) string {
	_, quoted, ok := strings.Cut(field, `details="`)
	if !ok {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(quoted) && quoted[i] != '"'; i++ {
		if quoted[i] == '\\' {
			i++
		}
		if i < len(quoted) {
			b.WriteByte(quoted[i])
		}
	}
	_, details, _ := strings.Cut(b.String(), ": ")
	return details
}
