package proxy

import (
	"iter"
	"net/http"
)

// Header is the fields of a request or a response as a policy sees and edits them. Names are given in canonical form
// (textproto.CanonicalMIMEHeaderKey). It is a handle: copies edit the same fields. It hides how an implementation of
// the seam keeps them, and may be used only while the exchange lasts, by one goroutine at a time.
type Header struct{ fields http.Header }

// NewHeader makes a Header over h.
func NewHeader(h http.Header) Header { return Header{h} }

// Get returns the first value of name, or "".
func (h Header) Get(name string) string {
	if v := h.fields[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Has reports whether there is a field name, be it empty.
func (h Header) Has(name string) bool { return len(h.fields[name]) > 0 }

// Values returns all values of name, in order; the slice must not be changed.
func (h Header) Values(name string) []string { return h.fields[name] }

// Set replaces every field name by one.
func (h Header) Set(name, value string) { h.fields[name] = []string{value} }

// Add appends a field.
func (h Header) Add(name, value string) { h.fields[name] = append(h.fields[name], value) }

// Del removes every field name.
func (h Header) Del(name string) { delete(h.fields, name) }

// All ranges over the fields.
func (h Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, values := range h.fields {
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}
