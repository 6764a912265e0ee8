package proxy

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// The rules of header fields, which Engine and Handler, HTTP/1.1 and HTTP/2 have in common: which fields end here, what
// they said, and what is said to the other side in their place.

const (
	// connectionKinds are the fields of one connection only, besides those that Connection names (RFC 9110 §7.6.1), and
	// HTTP2-Settings, which belongs to the Upgrade of h2c (RFC 7540 §3.2.1). Proxy-Authorization and Proxy-Authenticate are
	// for a proxy that the client has chosen; we are a gateway, to which they mean nothing, so they pass (RFC 9110 §11.7).
	connectionKinds h1.Kinds = 1<<h1.Connection | 1<<h1.KeepAlive | 1<<h1.ProxyConnection | 1<<h1.TE | 1<<h1.TransferEncoding |
		1<<h1.Upgrade | 1<<h1.HTTP2Settings
	// framingKinds are written anew, by what is known of a body.
	framingKinds h1.Kinds = 1<<h1.ContentLength | 1<<h1.TransferEncoding
	// trailerKinds are those that may stand in a trailer section: the others mean something to the protocol (RFC 9110 §6.5.1).
	trailerKinds h1.Kinds = 1<<h1.Plain | 1<<h1.XForwardedFor
)

// maxOptions bounds the options of Connection, each of which is looked for among the fields.
const maxOptions = 100

// connection is what the fields of a connection say.
type connection struct {
	close, keepAlive bool
	upgrading        bool
	upgrade          string        // the protocol asked for or agreed to; not h2c
	trailers         bool          // TE: trailers
	idle             time.Duration // see keepAliveTimeout
}

// endConnection removes the fields that end at this connection, and returns what they said. The fields of keep stay even if
// Connection names them. It fails if Connection has more than maxOptions options.
func (h Header) endConnection(keep []string) (c connection, err error) {
	gone := connectionKinds
	if h.list == nil {
		gone |= 1 << h1.Trailer // net/http has trailers apart, and announces them itself
	}
	found := h.kinds(gone)
	if found == 0 {
		return c, nil
	}
	var few [4]string
	if found.Has(h1.Connection) {
		n := 0
		for _, line := range h.AppendValues(few[:0], "Connection") {
			if n += 1 + strings.Count(line, ","); n > maxOptions {
				return c, tooManyOptions
			}
			c.applyOptions(line, h, keep)
		}
	}
	if c.upgrading && found.Has(h1.Upgrade) {
		c.upgrade = upgradeTo(h.AppendValues(few[:0], "Upgrade"))
	}
	if found.Has(h1.TE) {
		for _, line := range h.AppendValues(few[:0], "Te") {
			c.trailers = c.trailers || hasToken(line, "trailers")
		}
	}
	if found.Has(h1.KeepAlive) {
		c.idle = keepAliveTimeout(h.AppendValues(few[:0], "Keep-Alive"))
	}
	h.delKinds(found)
	return c, nil
}

// applyOptions takes over the options of one Connection field, and removes the fields that it names from h.
func (c *connection) applyOptions(line string, h Header, keep []string) {
	for option := range strings.SplitSeq(line, ",") {
		option = strings.Trim(option, " \t")
		switch kind := h1.KindOf(option); {
		case option == "":
		case kind == h1.Upgrade:
			c.upgrading = true
		case kind == h1.KeepAlive:
			c.keepAlive = true
		case h1.EqualFold(option, "close"):
			c.close = true
		case kind != h1.Plain && kind != h1.XForwardedFor:
			// Removed anyway, or written anew; Host and Expect are no business of Connection's.
		default:
			if name := http.CanonicalHeaderKey(option); !slices.Contains(keep, name) {
				h.Del(name)
			}
		}
	}
}

// upgradeTo is the value of an Upgrade field; empty when it offers h2c, which is deprecated (RFC 9113 §3.1) and would
// change the protocol behind the proxy's back.
func upgradeTo(lines []string) string {
	all := strings.Join(lines, ", ")
	for p := range strings.SplitSeq(all, ",") {
		name, _, _ := strings.Cut(strings.Trim(p, " \t"), "/")
		if h1.EqualFold(name, "h2c") || h1.EqualFold(name, "h2") {
			return ""
		}
	}
	return strings.Trim(all, " \t")
}

// hasToken finds a token in a comma-separated list, whatever its case and parameters.
func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		name, _, _ := strings.Cut(item, ";")
		if h1.EqualFold(strings.Trim(name, " \t"), token) {
			return true
		}
	}
	return false
}

// connectionOptions is the Connection of a request that goes on: the fields that it has of its own connection.
func connectionOptions(te, upgrade bool) string {
	switch {
	case te && upgrade:
		return "TE, Upgrade"
	case te:
		return "TE" // RFC 9110 §10.1.4
	case upgrade:
		return "Upgrade"
	}
	return ""
}

// appendForwarded appends to all the values of the X-Forwarded-For that a request goes on with, which are sent in one line:
// those that it came with, and the client's address, if it has one. Without any there is no such field.
func (h Header) appendForwarded(all []string, peer string) []string {
	all = h.AppendValues(all, "X-Forwarded-For")
	if peer != "" {
		all = append(all, peer)
	}
	return all
}

// peerOf is the host of an address; empty when it has none.
func peerOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	return host
}

// keepAliveTimeout is how long an upstream keeps an unused connection open, less a margin for the news of its end to reach us;
// 0 when it doesn't say (`Keep-Alive: timeout=5`, RFC 2068 §19.7.1.1, as Node.js and Apache send it).
func keepAliveTimeout(lines []string) time.Duration {
	for _, line := range lines {
		for p := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.Trim(p, " \t"), "=")
			if !h1.EqualFold(name, "timeout") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(value, `" `), 10, 20)
			if err != nil {
				return 0
			}
			return max(time.Millisecond, time.Duration(seconds)*time.Second-keepAliveMargin)
		}
	}
	return 0
}

// keepAliveMargin is taken off the idle timeout that an upstream names.
const keepAliveMargin = 500 * time.Millisecond

// ownFields are the fields of an answer of a policy's own as they are written: names in canonical form, values of one line,
// and none of the connection or the framing, which the proxy writes itself.
func ownFields(all [][2]string) [][2]string {
	fields := make([][2]string, 0, len(all))
	for _, f := range all {
		if h1.IsToken(f[0]) && !(connectionKinds | framingKinds | 1<<h1.Trailer).Has(h1.KindOf(f[0])) {
			fields = append(fields, [2]string{http.CanonicalHeaderKey(f[0]), h1.OneLine(f[1])})
		}
	}
	return fields
}

// private are the fields of Config.Private, which no client gets to see, nor an upstream in trailers.
type private struct {
	names   []string // canonical
	lengths uint64   // a bit for the length of each, by which most other names are told apart without a comparison
}

func newPrivate(names []string) private {
	p := private{names: make([]string, len(names))}
	for i, name := range names {
		p.names[i] = http.CanonicalHeaderKey(name)
		p.lengths |= 1 << (len(name) % 64)
	}
	return p
}

func (p *private) has(name string) bool {
	return p.lengths&(1<<(len(name)%64)) != 0 &&
		slices.ContainsFunc(p.names, func(n string) bool { return h1.EqualFold(n, name) })
}

// strip removes them from a head.
func (p *private) strip(h Header) {
	if h.list != nil {
		*h.list = slices.DeleteFunc(*h.list, func(x h1.Field) bool { return p.has(x.Name) })
		return
	}
	for _, name := range p.names {
		delete(h.fields, name)
	}
}

// stripTrailers removes them from a trailer section, and the fields that may not stand in one.
func (p *private) stripTrailers(h Header) {
	h.delKinds(^trailerKinds)
	p.strip(h)
}

// receive applies the rules to the final (or 101) head of an upstream's answer, and shows it to the policy. discard says that the
// policy has declined it and that the upstream has not processed the request.
func (h *Handler) receive(x Exchange, req *Request, resp *Response, upstream *Upstream) (c connection, discard bool, err error) {
	notProcessed := upstream.NotProcessed != "" && resp.Header.Has(http.CanonicalHeaderKey(upstream.NotProcessed))
	if c, err = resp.Header.endConnection(h.cfg.EndToEnd); err != nil {
		return c, false, &Error{Reason: BadResponse, Err: err}
	}
	if resp.Status == http.StatusSwitchingProtocols && (req.Upgrade == "" || c.upgrade == "") {
		return c, false, malformed("101 that was not asked for")
	}
	pass := x.Response(req, resp)
	h.private.strip(resp.Header)
	return c, !pass && notProcessed, nil
}

// receiveInterim applies the rules to the head of an interim answer.
func (h *Handler) receiveInterim(header Header) error {
	if _, err := header.endConnection(h.cfg.EndToEnd); err != nil {
		return &Error{Reason: BadResponse, Err: err}
	}
	h.private.strip(header)
	return nil
}
