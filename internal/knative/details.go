package knative

import "strings"

// ProxyDetails is what the details of a Proxy-Status field that Sluice's proxies write say beside the name of the reason
// (RFC 9209 §2.1.5), or "".
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
