package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// checkRequest refuses what net/http lets through and two parsers could read differently, and what no upstream is for. It
// returns the request-target for an upstream: in origin-form or asterisk-form, byte for byte as it was received.
func checkRequest(r *http.Request) (target string, err error) {
	if r.Method == http.MethodConnect {
		// RFC 9110 §15.6.2: a method that is not implemented for any resource. 405 would have to list what the
		// app allows, which nobody here knows.
		return "", connectMethod.with("")
	}
	if r.ProtoMajor >= 2 {
		if err := checkHTTP2(r); err != nil {
			return "", &Error{Reason: BadRequest, Err: err}
		}
	}
	target, ok := originForm(r.Method, r.RequestURI, r.ProtoMajor)
	if !ok {
		return "", &Error{Reason: BadRequest, Err: fmt.Errorf("malformed request-target %q", r.RequestURI)}
	}
	return target, nil
}

// checkHTTP2 holds the fields that net/http reads the first of, or not at all, in a request of HTTP/2, and what HTTP/1.1
// could not say in its place: a space in a target would make another request line of it (RFC 9113 §10.3).
func checkHTTP2(r *http.Request) error {
	switch {
	case !h1.IsToken(r.Method):
		return fmt.Errorf("malformed :method %q", r.Method)
	case !h1.IsTarget(r.RequestURI):
		return fmt.Errorf("malformed :path %q", r.RequestURI)
	case !h1.IsHost(r.Host):
		return fmt.Errorf("malformed :authority %q", r.Host)
	}
	if cl := r.Header["Content-Length"]; len(cl) > 0 {
		first, err := strconv.ParseUint(cl[0], 10, 63)
		if err != nil || slices.ContainsFunc(cl[1:], func(v string) bool { return v != cl[0] }) {
			return fmt.Errorf("malformed Content-Length %q", cl)
		}
		if r.ContentLength == 0 && first != 0 { // the head ended the stream (RFC 9113 §8.1.1)
			return fmt.Errorf("malformed request: Content-Length %d without a body", first)
		}
	}
	// RFC 9113 §8.3.1: a Host that differs from :authority makes the request malformed.
	if host := r.Header["Host"]; len(host) > 1 || len(host) == 1 && !strings.EqualFold(host[0], r.Host) {
		return fmt.Errorf("malformed request: Host %q differs from :authority %q", host, r.Host)
	}
	return nil
}

// originForm turns the request-target of a request into what a server that is no proxy is asked (RFC 9112 §3.2.1).
// net/http has put the authority of an absolute-form into Request.Host already.
func originForm(method, target string, major int) (string, bool) {
	switch {
	case strings.HasPrefix(target, "/"), target == "*":
		return target, true
	case major >= 2:
		return "", false // RFC 9113 §8.3.1: a :path starts with a slash
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", false
	}
	switch i := strings.IndexAny(rest, "/?"); {
	case i < 0 && method == http.MethodOptions:
		return "*", true // RFC 9112 §3.2.4
	case i < 0:
		return "/", true
	case rest[i] == '?':
		return "/" + rest[i:], true
	default:
		return rest[i:], true
	}
}

// targetURL makes a URL that net/http writes as exactly target. Opaque is written as it is, but for one that starts
// with two slashes, which would become an authority: such a target goes as a path with the encoding that it came in,
// or, where net/http would encode further, in absolute-form, which every server must accept (RFC 9112 §3.2.2) and
// HTTP/2 turns into the bare :path.
func targetURL(u *url.URL, scheme, addr, host, target string) {
	*u = url.URL{Scheme: scheme, Host: addr}
	if !strings.HasPrefix(target, "//") {
		u.Opaque = target
		return
	}
	raw, query, hasQuery := strings.Cut(target, "?")
	if path, err := url.PathUnescape(raw); err == nil {
		u.Path, u.RawPath, u.RawQuery, u.ForceQuery = path, raw, query, hasQuery
		if u.RequestURI() == target {
			return
		}
	}
	*u = url.URL{Scheme: scheme, Host: addr, Opaque: "//" + host + target}
}
