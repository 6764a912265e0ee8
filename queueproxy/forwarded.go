package queueproxy

import (
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
)

// addForwarded sets Forwarded (RFC 7239) from the X-Forwarded fields as they were received, unless Forwarded is set.
func addForwarded(h proxy.Header) {
	if h.Has("Forwarded") {
		return
	}
	var few [4]string
	nodes := h.AppendValues(few[:0], "X-Forwarded-For")
	host, proto := h.Get("X-Forwarded-Host"), h.Get("X-Forwarded-Proto")
	if len(nodes) == 0 && host == "" && proto == "" {
		return
	}
	if v := forwarded(nodes, host, proto); v != "" {
		h.Set("Forwarded", v)
	}
}

// forwarded returns the value of Forwarded: host and proto belong to the first node, which they were sent to. It quotes
// whatever a client could use to inject a parameter (RFC 7239 §4).
func forwarded(nodes []string, host, proto string) string {
	var b strings.Builder
	room := len(";host=;proto=") + len(host) + len(proto)
	for _, line := range nodes {
		room += (strings.Count(line, ",")+1)*len(`, for="[]"`) + len(line)
	}
	b.Grow(room)
	param := func(separator, name string) {
		if b.Len() > 0 {
			b.WriteString(separator)
		}
		b.WriteString(name)
	}
	rest := func() {
		if host != "" {
			param(";", "host=")
			quoteUnless(&b, host, ":[]")
		}
		if proto != "" {
			param(";", "proto=")
			quoteUnless(&b, proto, "")
		}
		host, proto = "", ""
	}
	for _, line := range nodes {
		for node := range strings.SplitSeq(line, ",") {
			if node = strings.Trim(node, " \t"); node == "" {
				continue
			}
			param(", ", "for=")
			if strings.Contains(node, ":") && !strings.HasPrefix(node, "[") {
				node = "[" + node + "]"
			}
			quoteUnless(&b, node, "")
			rest()
		}
	}
	rest()
	return b.String()
}

// quoteUnless writes v as it is if it consists of token bytes (RFC 9110 §5.6.2) and bytes of also; otherwise as a quoted
// string.
func quoteUnless(b *strings.Builder, v, also string) {
	plain := true
	for i := range len(v) {
		if !isTokenByte(v[i]) && strings.IndexByte(also, v[i]) < 0 {
			plain = false
			break
		}
	}
	if plain {
		b.WriteString(v)
		return
	}
	b.WriteByte('"')
	for i := range len(v) {
		if v[i] == '"' || v[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(v[i])
	}
	b.WriteByte('"')
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
