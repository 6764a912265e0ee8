package h2

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// pseudo are the pseudo-header fields of a block (RFC 9113 §8.3).
type pseudo struct {
	method, scheme, authority, path, protocol, status string

	found uint8 // a bit for each
}

const (
	pseudoMethod = 1 << iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol
	pseudoStatus
)

func (p *pseudo) has(bit uint8) bool { return p.found&bit != 0 }

// readPseudo takes those that a block starts with, each of which it has once. What follows is rest.
func readPseudo(f h1.Fields) (p pseudo, rest h1.Fields, wrong string) {
	i := 0
	for ; i < len(f) && f[i].Name != "" && f[i].Name[0] == ':'; i++ {
		value, bit := p.field(f[i].Name)
		switch {
		case value == nil:
			return p, nil, "unknown pseudo-header field"
		case p.has(bit):
			return p, nil, "pseudo-header field more than once"
		}
		*value = f[i].Value
		p.found |= bit
	}
	return p, f[i:], ""
}

func (p *pseudo) field(name string) (value *string, bit uint8) {
	switch name {
	case ":method":
		return &p.method, pseudoMethod
	case ":scheme":
		return &p.scheme, pseudoScheme
	case ":authority":
		return &p.authority, pseudoAuthority
	case ":path":
		return &p.path, pseudoPath
	case ":protocol":
		return &p.protocol, pseudoProtocol
	case ":status":
		return &p.status, pseudoStatus
	}
	return nil, 0
}

// statusCode is the status, three digits; 0 if it isn't.
func (p *pseudo) statusCode() int {
	s := p.status
	if len(s) != 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return 0
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}
