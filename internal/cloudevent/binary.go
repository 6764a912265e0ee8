package cloudevent

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// known are the fields of attributes that most events have; the names of all others are made when they are needed.
var known = [...]struct{ name, field string }{
	{"id", "Ce-Id"},
	{"source", "Ce-Source"},
	{"specversion", "Ce-Specversion"},
	{"type", "Ce-Type"},
	{"time", "Ce-Time"},
	{"subject", "Ce-Subject"},
	{"datacontenttype", "Content-Type"},
	{"traceparent", "Ce-Traceparent"},
	{"tracestate", "Ce-Tracestate"},
	{"knativebrokerttl", "Ce-Knativebrokerttl"},
}

// fieldOf returns the field of a header that has an attribute (HTTP binding 1.0.2 §3.1.1, §3.1.3.1), in net/http's spelling.
func fieldOf(name string) string {
	for _, k := range known {
		if k.name == name {
			return k.field
		}
	}
	return "Ce-" + strings.ToUpper(name[:1]) + name[1:]
}

// attributeOf returns the name of the attribute in a field that begins with ce-.
func attributeOf(field string) string {
	for _, k := range known {
		if k.field == field {
			return k.name
		}
	}
	return strings.ToLower(field[len("Ce-"):])
}

// readBinary reads an event in binary mode (HTTP binding 1.0.2 §3.1).
func readBinary(header http.Header, body []byte, limits Limits) (Event, error) {
	var few [16]pair // on the stack
	pairs := few[:0]
	for field, values := range header {
		if !hasPrefixFold(field, "ce-") {
			continue
		}
		name := attributeOf(field)
		if name == "datacontenttype" {
			return Event{}, errors.New("header ce-datacontenttype: the media type of data belongs into Content-Type")
		}
		if len(values) != 1 {
			return Event{}, fmt.Errorf("header ce-%s: is there %d times, and an event has an attribute once", name, len(values))
		}
		value, err := unescape(values[0])
		if err != nil {
			return Event{}, fmt.Errorf("header ce-%s: %w", name, err)
		}
		pairs = append(pairs, pair{name, value})
	}
	if len(pairs) == 0 {
		return Event{}, ErrNoEvent
	}
	if kind := header.Get("Content-Type"); kind != "" {
		pairs = append(pairs, pair{"datacontenttype", kind})
	}
	if err := limits.check(pairs); err != nil {
		return Event{}, err
	}
	return build(pairs, body, inHeader)
}

// escape percent-encodes a value for a header (HTTP binding 1.0.2 §3.1.3.2).
func escape(value string) string {
	const hex = "0123456789ABCDEF"
	n := 0
	for i := range len(value) {
		if isEscaped(value[i]) {
			n++
		}
	}
	if n == 0 {
		return value
	}
	escaped := make([]byte, 0, len(value)+2*n)
	for i := range len(value) {
		if c := value[i]; isEscaped(c) {
			escaped = append(escaped, '%', hex[c>>4], hex[c&15])
		} else {
			escaped = append(escaped, c)
		}
	}
	return string(escaped)
}

func isEscaped(c byte) bool { return c <= ' ' || c == '"' || c == '%' || c >= 0x7f }

// unescape reads a value of a header: quotes as those of RFC 9110 §5.6.4, then one round of percent-encoding
// (HTTP binding 1.0.2 §3.1.3.2). Many senders encode nothing, Knative's own among them: a % that begins no escape stands for itself,
// as does a quote inside a value, and UTF-8 may be there as it is.
func unescape(value string) (string, error) {
	quoted := strings.HasPrefix(value, `"`)
	if !quoted && !strings.Contains(value, "%") {
		return value, nil
	}
	plain := make([]byte, 0, len(value))
	if quoted {
		closed := false
		for i := 1; i < len(value); i++ {
			c := value[i]
			if closed = c == '"'; closed {
				closed = i == len(value)-1
				break
			}
			if c == '\\' && i+1 < len(value) {
				i++
				c = value[i]
			}
			plain = append(plain, c)
		}
		if !closed {
			return "", fmt.Errorf(`%s begins with a quote that doesn't end it; send a quote as %%22`, quote(value))
		}
		value = string(plain)
		plain = plain[:0]
	}
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '%' && i+2 < len(value) {
			if high, low := hexDigit(value[i+1]), hexDigit(value[i+2]); high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		plain = append(plain, c)
	}
	if !utf8.Valid(plain) {
		return "", fmt.Errorf("%s is not UTF-8 when percent-decoded", quote(value))
	}
	return string(plain), nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
