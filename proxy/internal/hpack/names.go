package hpack

import (
	"net/textproto"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// known is a name that the Encoder writes as an index, and that the Decoder needn't make a string for.
type known struct {
	name        string
	canonical   string // as most clients of HTTP/1.1 write it
	first, last uint8  // its indexes in the static table; 0 and 0: none
	repeats     uint8  // which of those below it is, from 1; 0: none
	next        uint8  // place in names of the next one with the same hash; 0: none
}

// repeating are the names whose fields may be entered in the dynamic table: requests of one connection say few values of
// them, again and again. A name that is a secret or an identifier must never stand here, nor one that an attacker could
// guess by the lengths of blocks (RFC 7541 §7.1): cookie, authorization, traceparent, x-request-id, :path.
var repeating = [...]string{
	":authority", "accept", "accept-encoding", "accept-language", "cache-control", "content-encoding", "content-type", "user-agent",
	"dnt", "grpc-accept-encoding", "grpc-encoding", "pragma", "priority", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
	"sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "te", "upgrade-insecure-requests", "x-forwarded-proto",
}

// names are those of both, without doubles; the first is none. byHash has the place of the first of each hash.
var names, byHash = allNames()

func allNames() (all []known, byHash [256]uint8) {
	all = make([]known, 1, len(static)+len(repeating))
	place := func(name string) *known {
		for i := range all[1:] {
			if all[1+i].name == name {
				return &all[1+i]
			}
		}
		h := hash(name)
		all = append(all, known{name: name, canonical: textproto.CanonicalMIMEHeaderKey(name), next: byHash[h]})
		byHash[h] = uint8(len(all) - 1)
		return &all[len(all)-1]
	}
	for i := 1; i < len(static); i++ {
		k := place(static[i].Name)
		if k.first == 0 {
			k.first = uint8(i)
		}
		k.last = uint8(i)
	}
	for i, name := range repeating {
		place(name).repeats = uint8(i + 1)
	}
	return all, byHash
}

// hash is the same for a name in capitals. The name isn't empty. The factors were looked for: two of the names share a hash.
func hash(name string) uint8 {
	n := len(name)
	return 23*uint8(n) + 9*(name[0]|0x20) + 33*(name[n/2]|0x20) + (name[n-1] | 0x20)
}

// find returns the known name, nil if there is none; name may have capitals.
func find(name string) *known {
	if name == "" {
		return nil
	}
	for i := byHash[hash(name)]; i != 0; i = names[i].next {
		if k := &names[i]; k.name == name || k.canonical == name || h1.EqualFold(k.name, name) {
			return k
		}
	}
	return nil
}

// knownName returns the string of a name that is known as it is written, "" for another.
func knownName(b []byte) string {
	if k := find(string(b)); k != nil && k.name == string(b) {
		return k.name
	}
	return ""
}
