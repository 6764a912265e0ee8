package cloudevent

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Limits bound what an event may have besides its data. Zero values mean the defaults.
type Limits struct {
	Attributes     int // how many, by default 256
	AttributeBytes int // how long their names and values are together, by default 64 KiB: less would break the specification's "Size limits"
}

const (
	defaultAttributes     = 256
	defaultAttributeBytes = 64 << 10
)

var (
	// ErrMediaType is in the error for a body in a format of CloudEvents that isn't JSON (HTTP status 415).
	ErrMediaType = errors.New("JSON is the one format that is read here, application/cloudevents+json and application/cloudevents-batch+json")
	// ErrNoEvent is in the error for what doesn't even look like an event, as a sink's response may.
	ErrNoEvent = errors.New("neither headers ce-* nor the Content-Type of a CloudEvent, application/cloudevents+json")
	// ErrTooLarge is in the error for an event beyond the limits (HTTP status 413).
	ErrTooLarge = errors.New("more than is taken here")
)

// Read returns the events of a request, or of a response: one in binary or structured mode, and any number, zero too, of a batch. Their data is part
// of the body, where that is possible, so the body must not change. StatusOf has the
// status for an error.
func Read(header http.Header, body []byte, limits Limits) ([]Event, error) {
	if limits.Attributes == 0 {
		limits.Attributes = defaultAttributes
	}
	if limits.AttributeBytes == 0 {
		limits.AttributeBytes = defaultAttributeBytes
	}
	if len(header["Content-Type"]) > 1 {
		return nil, errors.New("the request has more than one field Content-Type")
	}
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	kind = strings.TrimSpace(kind)
	switch {
	case !hasPrefixFold(kind, "application/cloudevents"): // HTTP binding 1.0.2 §3
		event, err := readBinary(header, body, limits)
		if err != nil {
			return nil, fmt.Errorf("CloudEvent in binary mode: %w", err)
		}
		return []Event{event}, nil
	case strings.EqualFold(kind, structuredType):
		event, err := readStructured(body, limits)
		if err != nil {
			return nil, fmt.Errorf("CloudEvent in structured mode: %w", err)
		}
		return []Event{event}, nil
	case strings.EqualFold(kind, "application/cloudevents-batch+json"):
		events, err := readBatch(body, limits)
		if err != nil {
			return nil, fmt.Errorf("CloudEvents in batched mode: %w", err)
		}
		return events, nil
	}
	return nil, fmt.Errorf("Content-Type %s: %w", quote(kind), ErrMediaType)
}

// StatusOf is the status of the response to a request whose events Read didn't take.
func StatusOf(err error) int {
	switch {
	case errors.Is(err, ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrMediaType):
		return http.StatusUnsupportedMediaType
	}
	return http.StatusBadRequest
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// check holds the attributes of an event to the limits.
func (l Limits) check(pairs []pair) error {
	if len(pairs) > l.Attributes {
		return fmt.Errorf("%d attributes, of at most %d: %w", len(pairs), l.Attributes, ErrTooLarge)
	}
	size := 0
	for _, p := range pairs {
		size += len(p.name) + len(p.value)
	}
	if size > l.AttributeBytes {
		return fmt.Errorf("%d bytes of attributes, of at most %d: %w", size, l.AttributeBytes, ErrTooLarge)
	}
	return nil
}

// mode is where the attributes of an event come from.
type mode int

const (
	inAttributes mode = iota
	inHeader
	inJSON
)

// place says where the sender of an event finds an attribute.
func (m mode) place(name string) string {
	switch {
	case m == inHeader && name == "datacontenttype":
		return "header Content-Type"
	case m == inHeader:
		return "header ce-" + name
	case m == inJSON:
		return "member " + quote(name)
	}
	return "attribute " + quote(name)
}
