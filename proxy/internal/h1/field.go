package h1

import "strings"

// Field is one field line.
type Field struct {
	Name, Value string
	Kind        Kind
	Sensitive   bool // came as a never-indexed literal of HTTP/2, and goes on as such (RFC 7541 §7.1.3)
}

// Fields are those of a head, in order. Names are compared without regard to case.
type Fields []Field

// Kind tells apart the fields that mean something to the protocol.
type Kind uint8

// The kinds. Plain is everything else.
const (
	Plain Kind = iota
	Host
	Connection
	ContentLength
	TransferEncoding
	Expect
	Upgrade
	TE
	Trailer
	KeepAlive
	ProxyConnection
	HTTP2Settings
	XForwardedFor
)

// Kinds is a set of them: 1<<Kind for each.
type Kinds uint16

// Has reports whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s&(1<<k) != 0 }

var names = [...]string{
	Host: "Host", Connection: "Connection", ContentLength: "Content-Length", TransferEncoding: "Transfer-Encoding",
	Expect: "Expect", Upgrade: "Upgrade", TE: "Te", Trailer: "Trailer", KeepAlive: "Keep-Alive",
	ProxyConnection: "Proxy-Connection", HTTP2Settings: "Http2-Settings", XForwardedFor: "X-Forwarded-For",
}

// Names returns the names of the kinds, by kind, in canonical form (textproto.CanonicalMIMEHeaderKey); Plain's is empty.
func Names() []string { return names[:] }

// KindOf is the kind of a field called name.
func KindOf(name string) Kind {
	kind := Plain
	switch len(name) {
	case 2:
		kind = TE
	case 4:
		kind = Host
	case 6:
		kind = Expect
	case 7:
		kind = Upgrade
		if name[0]|0x20 == 't' {
			kind = Trailer
		}
	case 10:
		kind = Connection
		if name[0]|0x20 == 'k' {
			kind = KeepAlive
		}
	case 14:
		kind = ContentLength
		if name[0]|0x20 == 'h' {
			kind = HTTP2Settings
		}
	case 15:
		kind = XForwardedFor
	case 16:
		kind = ProxyConnection
	case 17:
		kind = TransferEncoding
	}
	if !EqualFold(name, names[kind]) {
		return Plain
	}
	return kind
}

// Find returns the index of the first field called name, from index from on; -1 when there is none.
func (f Fields) Find(name string, from int) int {
	for i := from; i < len(f); i++ {
		if EqualFold(f[i].Name, name) {
			return i
		}
	}
	return -1
}

// FindKind returns the index of the first field of a kind; -1 when there is none.
func (f Fields) FindKind(k Kind) int {
	for i := range f {
		if f[i].Kind == k {
			return i
		}
	}
	return -1
}

// Set replaces every field called name by one.
func (f *Fields) Set(name, value string) {
	i := f.Find(name, 0)
	if i < 0 {
		f.Add(name, value)
		return
	}
	(*f)[i].Value = OneLine(value)
	f.del(name, i+1)
}

// Add appends a field.
func (f *Fields) Add(name, value string) {
	*f = append(*f, Field{Name: name, Value: OneLine(value), Kind: KindOf(name)})
}

// Del removes every field called name.
func (f *Fields) Del(name string) { f.del(name, 0) }

func (f *Fields) del(name string, from int) {
	first := f.Find(name, from)
	if first < 0 {
		return
	}
	kept := (*f)[:first]
	for _, x := range (*f)[first+1:] {
		if !EqualFold(x.Name, name) {
			kept = append(kept, x)
		}
	}
	clear((*f)[len(kept):])
	*f = kept
}

// DelKinds removes every field whose kind is in set.
func (f *Fields) DelKinds(set Kinds) {
	kept := (*f)[:0]
	for _, x := range *f {
		if !set.Has(x.Kind) {
			kept = append(kept, x)
		}
	}
	clear((*f)[len(kept):])
	*f = kept
}

// parse appends the field lines of s, which ends with the empty line, at most most of them.
func (f *Fields) parse(s string, most int) error {
	for {
		var l string
		if l, s = line(s); l == "" {
			return nil
		}
		if len(*f) >= most {
			return ErrFields
		}
		if l[0] == ' ' || l[0] == '\t' {
			return ErrFold
		}
		i := 0
		for i < len(l) && class[l[i]]&inToken != 0 {
			i++
		}
		switch {
		case i == len(l):
			return ErrField
		case i == 0 || l[i] != ':':
			return ErrFieldName
		}
		value := trim(l[i+1:])
		if !all(value, inValue) {
			return ErrFieldValue
		}
		*f = append(*f, Field{Name: l[:i], Value: value, Kind: KindOf(l[:i])})
	}
}

// OneLine keeps a value from becoming two lines, as net/http does.
func OneLine(s string) string {
	if strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s)
}
