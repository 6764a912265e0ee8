// Package cloudevent has CloudEvents as the broker keeps them and as its apps read them, and how they come and go over HTTP.
//
//	events, err := cloudevent.Read(request.Header, body, cloudevent.Limits{}) // binary, structured or batched; 1.0 or 0.3
//	record := events[0].AppendTo(nil)                                        // what the log stores
//	event, err := cloudevent.Parse(record)                                   // copies nothing
//	kind, ok := event.Attribute("type")
//	body = event.WriteRequest(request.Header)                                // binary mode, as sinks get it
//	body = event.WriteStructured(request.Header)                             // structured mode
//
// Data is never changed: a sink gets the bytes that a sender has put into the body, or those of the member "data" as they stood
// in the JSON (of a string, if the data isn't JSON, what it says; of base64, what it encodes). Times, URIs and media types keep the
// form that their sender gave them.
//
// An Event has no goroutines and no locks; several goroutines may read one that nobody sets attributes of.
package cloudevent

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"unsafe"
)

// Event is a CloudEvent of version 1.0 or 0.3. It is a few words large; what it consists of is shared between copies, and Set gives
// the one that it is called on attributes of its own.
type Event struct {
	// attributes are all of them, ordered by name, each as the length of its name (a byte), the length of its value (two bytes,
	// big-endian), its name and its value, which is the string form of the specification's type system.
	attributes string
	data       []byte
}

const (
	longestName  = 1<<8 - 1
	longestValue = 1<<16 - 1
)

// New makes an event of attributes, of which the required ones must be there, and of data, which it doesn't copy.
func New(attributes map[string]string, data []byte) (Event, error) {
	pairs := make([]pair, 0, len(attributes))
	for name, value := range attributes {
		pairs = append(pairs, pair{name, value})
	}
	return build(pairs, data, inAttributes)
}

// Attribute returns the value of an attribute in its string form. It allocates nothing.
func (e *Event) Attribute(name string) (string, bool) {
	for rest := e.attributes; rest != ""; {
		nameEnd := pairHead + int(rest[0])
		end := nameEnd + int(rest[1])<<8 + int(rest[2])
		if int(rest[0]) == len(name) && rest[pairHead:nameEnd] == name {
			return rest[nameEnd:end], true
		}
		rest = rest[end:]
	}
	return "", false
}

// Attributes are all attributes, specversion and datacontenttype among them, ordered by name.
func (e *Event) Attributes() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for rest := e.attributes; rest != ""; {
			var p pair
			if p, rest = first(rest); !yield(p.name, p.value) {
				return
			}
		}
	}
}

// Data returns the event's data, which nobody may change.
func (e *Event) Data() []byte { return e.data }

// Set gives an attribute a value. It fails, and changes nothing, if the specification doesn't allow the name or the value.
func (e *Event) Set(name, value string) error {
	pairs := make([]pair, 0, 16)
	for n, v := range e.Attributes() {
		if n != name {
			pairs = append(pairs, pair{n, v})
		}
	}
	changed, err := build(append(pairs, pair{name, value}), e.data, inAttributes)
	if err == nil {
		*e = changed
	}
	return err
}

// recordVersion is the first byte of a record. Another form of records needs another version.
const recordVersion = 1

// recordHead is the length of what is before the attributes: the version, and their length.
const recordHead = 1 + 4

// AppendTo appends the event to a buffer as Parse reads it.
func (e *Event) AppendTo(record []byte) []byte {
	record = append(record, recordVersion)
	record = binary.BigEndian.AppendUint32(record, uint32(len(e.attributes)))
	record = append(record, e.attributes...)
	return append(record, e.data...)
}

// Parse reads a record that AppendTo has made. The event is made of the record's bytes, which must stay as they are for as long as the
// event or one of its attributes is in use. Parse doesn't repeat the checks of Read.
func Parse(record []byte) (Event, error) {
	if len(record) < recordHead {
		return Event{}, fmt.Errorf("record of an event: %d bytes, less than the %d of its head", len(record), recordHead)
	}
	if record[0] != recordVersion {
		return Event{}, fmt.Errorf("record of an event: version %d, and this program reads version %d", record[0], recordVersion)
	}
	size, rest := binary.BigEndian.Uint32(record[1:]), record[recordHead:]
	if uint64(size) > uint64(len(rest)) {
		return Event{}, fmt.Errorf("record of an event: ends after %d bytes of %d bytes of attributes", len(rest), size)
	}
	attributes := rest[:size]
	for left := attributes; len(left) > 0; {
		if len(left) < pairHead || len(left) < pairHead+int(left[0])+int(binary.BigEndian.Uint16(left[1:])) {
			return Event{}, fmt.Errorf("record of an event: its attribute at byte %d is cut off", recordHead+len(attributes)-len(left))
		}
		left = left[pairHead+int(left[0])+int(binary.BigEndian.Uint16(left[1:])):]
	}
	// Attributes are read for each trigger, and a record is never written to: a string of the same bytes saves a copy for each.
	return Event{attributes: unsafe.String(unsafe.SliceData(attributes), len(attributes)), data: rest[size:]}, nil
}

// WriteRequest puts the event into a request in binary mode: attributes into its header, percent-encoded, and what it returns is to be
// its body (HTTP binding 1.0.2 §3.1). It replaces fields of the same names only.
func (e *Event) WriteRequest(header http.Header) (body []byte) {
	n := 0
	for range e.Attributes() {
		n++
	}
	values := make([]string, 0, n) // of all fields, in one allocation
	for name, value := range e.Attributes() {
		if name != "datacontenttype" {
			value = escape(value)
		}
		values = append(values, value)
		header[fieldOf(name)] = values[len(values)-1 : len(values) : len(values)]
	}
	return e.data
}

// NewRequest makes a request in binary mode. The error is that of the URL.
func (e *Event) NewRequest(ctx context.Context, url string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(e.data))
	if err != nil {
		return nil, err
	}
	e.WriteRequest(r.Header)
	return r, nil
}

// Retriable reports whether the status of a response asks for another attempt: Knative's data plane specification, "Event
// Acknowledgement and Delivery Retry", and 408 as in Knative's brokers.
func Retriable(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// pair is an attribute.
type pair struct{ name, value string }

const pairHead = 1 + 2

// first splits packed attributes after the first.
func first(attributes string) (p pair, rest string) {
	name := pairHead + int(attributes[0])
	value := name + int(attributes[1])<<8 + int(attributes[2])
	return pair{attributes[pairHead:name], attributes[name:value]}, attributes[value:]
}

// build makes an event of attributes that it orders and checks. An error says by mode where the sender has to look.
func build(pairs []pair, data []byte, m mode) (Event, error) {
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	size, version := 0, ""
	for i, p := range pairs {
		if i > 0 && pairs[i-1].name == p.name {
			return Event{}, fmt.Errorf("%s: is there twice, and an event has an attribute once", m.place(p.name))
		}
		if p.name == "specversion" {
			version = p.value
		}
		size += pairHead + len(p.name) + len(p.value)
	}
	if version != "1.0" && version != "0.3" {
		if version == "" {
			return Event{}, fmt.Errorf("%s: is missing or empty, and every event has 1.0 or 0.3 there", m.place("specversion"))
		}
		return Event{}, fmt.Errorf("%s: %s, and versions of CloudEvents are 1.0 and 0.3", m.place("specversion"), quote(version))
	}
	packed := make([]byte, 0, size)
	required := 0
	for _, p := range pairs {
		if err := p.check(version); err != nil {
			return Event{}, fmt.Errorf("%s: %w", m.place(p.name), err)
		}
		if p.name == "id" || p.name == "source" || p.name == "type" {
			required++
		}
		packed = append(packed, byte(len(p.name)), byte(len(p.value)>>8), byte(len(p.value)))
		packed = append(append(packed, p.name...), p.value...)
	}
	if required < 3 {
		for _, name := range []string{"id", "source", "type"} {
			if !slices.ContainsFunc(pairs, func(p pair) bool { return p.name == name }) {
				return Event{}, fmt.Errorf("%s: is missing, and every event has it", m.place(name))
			}
		}
	}
	return Event{attributes: unsafe.String(unsafe.SliceData(packed), len(packed)), data: data}, nil
}
