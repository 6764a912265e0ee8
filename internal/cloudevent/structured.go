package cloudevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// readStructured reads an event in JSON (JSON format 1.0.2).
func readStructured(body []byte, limits Limits) (Event, error) {
	if err := checkJSON(body); err != nil {
		return Event{}, err
	}
	value, _ := nextJSON(body)
	return readObject(value, limits)
}

// readBatch reads events in a JSON array (JSON format 1.0.2 §4).
func readBatch(body []byte, limits Limits) ([]Event, error) {
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	array, _ := nextJSON(body)
	if array[0] != '[' {
		return nil, errors.New("the body is no JSON array")
	}
	var events []Event
	for rest := array[1:]; ; {
		var value []byte
		value, rest = nextJSON(rest)
		if value == nil {
			return events, nil
		}
		event, err := readObject(value, limits)
		if err != nil {
			return nil, fmt.Errorf("event %d of the batch: %w", len(events), err)
		}
		events = append(events, event)
		if a, b := version(&events[0]), version(&event); a != b { // HTTP binding 1.0.2 §3.3.2
			return nil, fmt.Errorf("event %d of the batch: has specversion %s and the first has %s, and all of a batch have the same", len(events)-1, b, a)
		}
	}
}

func version(e *Event) string {
	v, _ := e.Attribute("specversion")
	return v
}

// checkJSON also makes sure that the body is UTF-8 (RFC 8259 §8.1), which encoding/json would replace silently.
func checkJSON(body []byte) error {
	if !json.Valid(body) {
		var v any
		return fmt.Errorf("the body is no JSON: %w", json.Unmarshal(body, &v))
	}
	if !utf8.Valid(body) {
		return errors.New("the body is not UTF-8")
	}
	return nil
}

// dataMembers is how many members of an event's object can be other things than attributes: data and data_base64.
const dataMembers = 2

// readObject reads an event from a JSON value.
func readObject(object []byte, limits Limits) (Event, error) {
	if object[0] != '{' {
		return Event{}, fmt.Errorf("%s is no JSON object", quote(string(object)))
	}
	var fewNames [16]string // on the stack, as are the pairs
	var fewPairs [16]pair
	names, pairs := fewNames[:0], fewPairs[:0]
	var c content
	for rest := object[1:]; ; {
		var member, value []byte
		if member, rest = nextJSON(rest); member == nil {
			break
		}
		value, rest = nextJSON(rest)
		name, err := text(member)
		if err != nil {
			return Event{}, err
		}
		if slices.Contains(names, name) {
			return Event{}, fmt.Errorf("%s: is there twice, and an event has an attribute once", inJSON.place(name))
		}
		if names = append(names, name); len(names) > limits.Attributes+dataMembers {
			return Event{}, fmt.Errorf("more than %d attributes: %w", limits.Attributes, ErrTooLarge)
		}
		switch {
		case name == "data":
			c.data = value
		case name == "data_base64":
			c.base64 = value
		case string(value) == "null": // as if the member weren't there, §2.2
			if err := checkName(name); err != nil {
				return Event{}, fmt.Errorf("%s: %w", inJSON.place(name), err)
			}
		default:
			v, err := attributeValue(name, value)
			if err != nil {
				return Event{}, fmt.Errorf("%s: %w", inJSON.place(name), err)
			}
			pairs = append(pairs, pair{name, v})
		}
	}
	if err := limits.check(pairs); err != nil {
		return Event{}, err
	}
	pairs, data, err := c.decode(pairs)
	if err != nil {
		return Event{}, err
	}
	return build(pairs, data, inJSON)
}

// attributeValue returns the string form of an attribute (JSON format 1.0.2 §2.2).
func attributeValue(name string, value []byte) (string, error) {
	if value[0] == '"' {
		return text(value)
	}
	switch name {
	case "id", "source", "specversion", "type", "subject", "time", "datacontenttype", "dataschema", "schemaurl", "datacontentencoding":
		return "", errors.New("is no JSON string")
	}
	switch value[0] {
	case 't', 'f':
		return string(value), nil
	case '{', '[':
		return "", errors.New("is an object or an array, and attributes are strings, booleans and integers")
	}
	n, err := strconv.ParseInt(string(value), 10, 32) // "Type system": integers have 32 bits
	if err != nil {
		return "", fmt.Errorf("%s is no integer of 32 bits", quote(string(value)))
	}
	return strconv.FormatInt(n, 10), nil
}

// content are the members of an event that have its data, as they stand in the JSON.
type content struct{ data, base64 []byte }

// decode returns the data, and the attributes that are right for it as it is then: not encoded any more, and of a media type that was
// implied in JSON (§3.1.2).
func (c content) decode(pairs []pair) ([]pair, []byte, error) {
	kind := valueOf(pairs, "datacontenttype")
	if valueOf(pairs, "specversion") == "0.3" {
		if c.base64 != nil {
			return nil, nil, errors.New(`member "data_base64": is of version 1.0; 0.3 has "datacontentencoding": "base64" and "data"`)
		}
		encoded := func(p pair) bool { return p == pair{"datacontentencoding", "base64"} }
		if slices.ContainsFunc(pairs, encoded) { // JSON format 0.3 §3.1
			pairs = slices.DeleteFunc(pairs, encoded)
			c = content{base64: c.data}
		}
	}
	absent := c.data == nil || string(c.data) == "null"
	switch {
	case c.base64 != nil && string(c.base64) != "null":
		if !absent {
			return nil, nil, errors.New(`members "data" and "data_base64": an event has one of them`)
		}
		data, err := decodeBase64(c.base64)
		return pairs, data, err
	case c.data == nil:
		return pairs, nil, nil
	case kind == "":
		return append(pairs, pair{"datacontenttype", "application/json"}), c.data, nil
	case isJSON(kind):
		return pairs, c.data, nil
	case absent:
		return pairs, nil, nil
	case c.data[0] != '"':
		return nil, nil, fmt.Errorf(`member "data": data of type %s is a JSON string`, quote(kind))
	}
	data, err := text(c.data)
	return pairs, []byte(data), err
}

func valueOf(pairs []pair, name string) string {
	for _, p := range pairs {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// isJSON tells by a media type whether data is a JSON value (§3.1.1).
func isJSON(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "+json")
}

func decodeBase64(value []byte) ([]byte, error) {
	if value[0] != '"' {
		return nil, errors.New("data in base64 is a JSON string")
	}
	encoded, err := text(value)
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("data in base64: %w", err)
	}
	return data, nil
}

// nextJSON returns the first value in valid JSON, and what is after it. Commas and colons before it are skipped, and there is none when
// the object or array ends. The value is not copied, so that its bytes can be delivered as they are.
func nextJSON(s []byte) (value, rest []byte) {
	s = bytes.TrimLeft(s, " \t\r\n,:")
	if len(s) == 0 || s[0] == '}' || s[0] == ']' {
		return nil, s
	}
	end := 0
	for depth := 0; ; {
		switch s[end] {
		case '"':
			end += stringEnd(s[end:])
		case '{', '[':
			depth++
			end++
		case '}', ']':
			depth--
			end++
		default:
			end++
		}
		if depth == 0 && (end == len(s) || s[0] == '"' || s[0] == '{' || s[0] == '[' || strings.IndexByte(" \t\r\n,:}]", s[end]) >= 0) {
			return s[:end], s[end:]
		}
	}
}

// stringEnd returns the length of the JSON string that s begins with.
func stringEnd(s []byte) int {
	end := 1
	for s[end] != '"' {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	return end + 1
}

// text returns what a JSON string says.
func text(value []byte) (string, error) {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	if hasHalfSurrogate(value) { // encoding/json would replace it silently
		return "", fmt.Errorf("%s has one half of a surrogate pair", quote(string(value)))
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err
}

// hasHalfSurrogate tells whether a JSON string has a \u escape of half a character.
func hasHalfSurrogate(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		r := escaped(s[i:])
		if utf16.IsSurrogate(r) {
			i += len(`\uXXXX`)
			if utf16.DecodeRune(r, escaped(s[i:])) == utf8.RuneError {
				return true
			}
			i += len(`uXXXX`)
			continue
		}
		i++ // what is escaped may be a backslash
	}
	return false
}

// escaped returns the rune of the \u escape that s begins with, and -1 if it begins with something else.
func escaped(s []byte) rune {
	if len(s) < len(`\uXXXX`) || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	r, err := strconv.ParseUint(string(s[2:6]), 16, 32)
	if err != nil {
		return -1
	}
	return rune(r)
}

// WriteStructured puts the event into a request in structured mode (HTTP binding 1.0.2 §3.2): the media type into its header, and what it returns
// is to be its body. Attributes of the names leftOut are not there.
func (e *Event) WriteStructured(header http.Header, leftOut ...string) (body []byte) {
	header["Content-Type"] = []string{structuredType}
	attributes := map[string]string{}
	for name, value := range e.Attributes() {
		if !slices.Contains(leftOut, name) {
			attributes[name] = value
		}
	}
	kind := attributes["datacontenttype"]
	member, valid := "data", utf8.Valid(e.data)
	var data any
	switch {
	case len(e.data) == 0:
	case valid && isJSON(kind) && json.Valid(e.data): // JSON format 1.0.2 §3.1: as it is
	case valid && kind != "" && !isJSON(kind):
		data = string(e.data)
	case version(e) == "0.3": // JSON format 0.3 §3.1
		data, attributes["datacontentencoding"] = e.data, "base64"
	default: // also of no type, since a string would be of application/json
		member, data = "data_base64", e.data
	}
	body = marshal(attributes)
	if len(e.data) == 0 {
		return body
	}
	body = fmt.Appendf(body[:len(body)-1], `,%q:`, member)
	if data == nil {
		return append(append(body, e.data...), '}')
	}
	return append(append(body, marshal(data)...), '}')
}

const structuredType = "application/cloudevents+json"

// marshal is json.Marshal of what has a form in JSON: strings in UTF-8, and bytes, which are in base64 there.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
