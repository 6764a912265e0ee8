package proxy

import (
	"iter"
	"net/http"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// Header is the fields of a request or a response as a policy sees and edits them. Names are given in canonical form
// (textproto.CanonicalMIMEHeaderKey). It is a handle: copies edit the same fields. It hides how an implementation of
// the seam keeps them, and may be used only while the exchange lasts, by one goroutine at a time.
type Header struct {
	fields http.Header
	list   *h1.Fields // instead of fields: an Engine's
}

// NewHeader makes a Header over h.
func NewHeader(h http.Header) Header { return Header{fields: h} }

// Get returns the first value of name, or "".
func (h Header) Get(name string) string {
	if h.list != nil {
		if i := h.list.Find(name, 0); i >= 0 {
			return (*h.list)[i].Value
		}
		return ""
	}
	if v := h.fields[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Has reports whether there is a field name, be it empty.
func (h Header) Has(name string) bool {
	if h.list != nil {
		return h.list.Find(name, 0) >= 0
	}
	return len(h.fields[name]) > 0
}

// Values returns all values of name, in order; the slice must not be changed.
func (h Header) Values(name string) []string {
	if h.list == nil {
		return h.fields[name]
	}
	return h.AppendValues(nil, name)
}

// AppendValues appends all values of name, in order, to all.
func (h Header) AppendValues(all []string, name string) []string {
	if h.list == nil {
		return append(all, h.fields[name]...)
	}
	for i := h.list.Find(name, 0); i >= 0; i = h.list.Find(name, i+1) {
		all = append(all, (*h.list)[i].Value)
	}
	return all
}

// Set replaces every field name by one. CR, LF and NUL in value become spaces.
func (h Header) Set(name, value string) {
	if h.list != nil {
		h.list.Set(name, value)
		return
	}
	h.fields[name] = []string{h1.OneLine(value)}
}

// Add appends a field. CR, LF and NUL in value become spaces.
func (h Header) Add(name, value string) {
	if h.list != nil {
		h.list.Add(name, value)
		return
	}
	h.fields[name] = append(h.fields[name], h1.OneLine(value))
}

// Del removes every field name.
func (h Header) Del(name string) {
	if h.list != nil {
		h.list.Del(name)
		return
	}
	delete(h.fields, name)
}

// kinds are those of the fields that there are, as far as they are among these.
func (h Header) kinds(of h1.Kinds) (found h1.Kinds) {
	if h.list != nil {
		for i := range *h.list {
			found |= 1 << (*h.list)[i].Kind
		}
		return found & of
	}
	for k, name := range h1.Names() {
		if of.Has(h1.Kind(k)) && len(h.fields[name]) > 0 {
			found |= 1 << k
		}
	}
	return found
}

// delKinds removes every field whose kind is in set.
func (h Header) delKinds(set h1.Kinds) {
	if h.list != nil {
		h.list.DelKinds(set)
		return
	}
	for k, name := range h1.Names() {
		if set.Has(h1.Kind(k)) {
			delete(h.fields, name)
		}
	}
}

// All ranges over the fields, their names in canonical form.
func (h Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if h.list != nil {
			for _, f := range *h.list {
				if !yield(http.CanonicalHeaderKey(f.Name), f.Value) {
					return
				}
			}
			return
		}
		for name, values := range h.fields {
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}

// httpHeader is a copy of f as net/http keeps fields.
func httpHeader(f h1.Fields) http.Header {
	h := make(http.Header, len(f))
	for _, x := range f {
		name := http.CanonicalHeaderKey(x.Name)
		h[name] = append(h[name], x.Value)
	}
	return h
}
