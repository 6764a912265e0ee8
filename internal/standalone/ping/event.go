package ping

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// Event has the attributes and the data that all events of a source have in common.
type Event struct {
	Type, Source string
	ContentType  string // of Data; empty: not said
	Data         []byte
	Extensions   map[string]string
}

// request returns the event of an ID and a time as a request in binary mode: CloudEvents' HTTP Protocol Binding 1.0.2 §3.1.
func (e *Event) request(ctx context.Context, to, id string, at time.Time) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(e.Data))
	if err != nil {
		return nil, err
	}
	set := func(attribute, value string) { r.Header.Set("Ce-"+attribute, encoded(value)) }
	set("specversion", "1.0")
	set("type", e.Type)
	set("source", e.Source)
	set("id", id)
	set("time", at.UTC().Format(time.RFC3339Nano))
	for name, value := range e.Extensions {
		set(strings.ToLower(name), value)
	}
	if e.ContentType != "" {
		r.Header.Set("Content-Type", e.ContentType)
	}
	return r, nil
}

// encoded returns a value for a field of a header: §3.1.3.2 has everything but printable ASCII, and the quote and the percent sign,
// percent-encoded.
func encoded(value string) string {
	var b strings.Builder
	for _, c := range value {
		if c > ' ' && c <= '~' && c != '"' && c != '%' {
			b.WriteRune(c)
			continue
		}
		for _, octet := range utf8.AppendRune(nil, c) {
			fmt.Fprintf(&b, "%%%02X", octet)
		}
	}
	return b.String()
}
