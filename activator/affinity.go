package activator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// keep finds the request's key, so that it goes to that key's pod. An event waits for that pod also while others have free slots, since a broker
// sends events of a key one at a time: waiting delays no other request of the key.
func (x *exchange) keep(req *proxy.Request) {
	value := req.Header.Get(knative.HeaderKey)
	ordered := value != "" || x.spec.affinity.Ordered
	if value == "" {
		switch a := x.spec.affinity; a.By {
		case knative.NoAffinity:
			return
		case knative.ByHeader:
			value = req.Header.Get(a.Name)
		case knative.ByCookie:
			value = x.session(req, a.Name)
		case knative.ByQuery:
			value = parameter(req.Target, a.Name)
		case knative.ByPath:
			value = segment(req.Target, a.Segment)
		}
	}
	if value == "" {
		return
	}
	x.demand.Key = throttler.Key(value)
	if ordered {
		x.demand.Turn = &x.turn
	}
}

// parameter is the value of a parameter in the query, the first of that name; empty without one.
func parameter(target, name string) string {
	_, query, _ := strings.Cut(target, "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key != name {
			if k, err := url.QueryUnescape(key); err != nil || k != name {
				continue
			}
		}
		if v, err := url.QueryUnescape(value); err == nil {
			return v
		}
		return value
	}
	return ""
}

// segment is the n-th segment of the path, as it was received.
func segment(target string, n int) string {
	if scheme := strings.Index(target, "://"); scheme > 0 && !strings.HasPrefix(target, "/") { // absolute-form (RFC 9112 §3.2.2)
		_, path, _ := strings.Cut(target[scheme+len("://"):], "/")
		target = "/" + path
	}
	path, _, _ := strings.Cut(target, "?")
	for s := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if n--; n == 0 {
			return s
		}
	}
	return ""
}

// session is the request's cookie of that name. A request without one that an activator has signed gets a new one, which its
// response sets.
func (x *exchange) session(req *proxy.Request, name string) string {
	if value := x.a.sessions.find(req.Header.Values("Cookie"), name); value != "" {
		return value
	}
	value := x.a.sessions.begin()
	x.cookie = name + "=" + value + "; Path=/; HttpOnly; SameSite=Lax"
	if req.TLS() != nil || strings.EqualFold(req.Header.Get("X-Forwarded-Proto"), "https") {
		x.cookie += "; Secure"
	}
	return value
}

// sessions makes and checks the values of cookies: 16 random bytes and half of their HMAC (RFC 2104 §5), in base64url. So
// clients can't choose their pod, or join a session whose cookie they have not seen.
type sessions struct{ key []byte }

const (
	sessionBytes = 16
	sessionMAC   = sha256.Size / 2
	maxSameName  = 8 // cookies of one name that are checked, each for a microsecond; browsers send one for each path that one was set for
)

func newSessions(key []byte) sessions {
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // it never fails
	}
	return sessions{key}
}

func (s sessions) begin() string {
	var b [sessionBytes + sessionMAC]byte
	_, _ = rand.Read(b[:sessionBytes])
	copy(b[sessionBytes:], s.mac(b[:sessionBytes]))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// find is the first cookie of that name that is signed, or empty.
func (s sessions) find(fields []string, name string) string {
	left := maxSameName
	for _, field := range fields { // HTTP/2 may split it (RFC 9113 §8.2.3)
		for pair := range strings.SplitSeq(field, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if key != name {
				continue
			}
			if s.signed(value) {
				return value
			}
			if left--; left == 0 {
				return ""
			}
		}
	}
	return ""
}

func (s sessions) signed(value string) bool {
	var b [sessionBytes + sessionMAC]byte
	if base64.RawURLEncoding.DecodedLen(len(value)) != len(b) {
		return false
	}
	if _, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(value)); err != nil { // one text for one session
		return false
	}
	return hmac.Equal(b[sessionBytes:], s.mac(b[:sessionBytes]))
}

func (s sessions) mac(id []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(id)
	return h.Sum(nil)[:sessionMAC]
}
