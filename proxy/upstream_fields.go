package proxy

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// Kinds of fields that a head on its way onward doesn't take from the other side.
const (
	connectionKinds h1.Kinds = 1<<h1.Connection | 1<<h1.KeepAlive | 1<<h1.ProxyConnection | 1<<h1.TE | 1<<h1.Upgrade | 1<<h1.HTTP2Settings
	framingKinds    h1.Kinds = 1<<h1.ContentLength | 1<<h1.TransferEncoding
	// noTrailers have no business in a trailer section (RFC 9110 §6.5.1).
	noTrailers = ^h1.Kinds(1<<h1.Plain | 1<<h1.XForwardedFor)
)

// options are what fields of the connection say.
type options struct {
	stripped
	close, keepAlive bool
}

// maxOptions bounds the options of Connection, each of which is looked for among the fields.
const maxOptions = 100

// stripFields is removeHopByHop for an Engine: Transfer-Encoding and Trailer stay, since framing is written anew anyway.
// It fails on more options than anybody needs.
func stripFields(f *h1.Fields, keep []string) (o options, ok bool) {
	found := false
	var lines []string
	for i := range *f {
		switch x := &(*f)[i]; x.Kind {
		case h1.Connection:
			found = true
			switch {
			case h1.EqualFold(x.Value, "close"):
				o.close = true
			case h1.EqualFold(x.Value, "keep-alive"):
				o.keepAlive = true
			default:
				lines = append(lines, x.Value)
			}
		case h1.TE:
			found = true
			o.trailers = o.trailers || hasToken(x.Value, "trailers")
		case h1.KeepAlive, h1.ProxyConnection, h1.Upgrade, h1.HTTP2Settings:
			found = true
		}
	}
	if !found {
		return o, true
	}
	n, upgrading := 0, false
	for _, l := range lines {
		if n += 1 + strings.Count(l, ","); n > maxOptions {
			return o, false
		}
		upgrading = heedOptions(f, l, keep, &o) || upgrading
	}
	if upgrading {
		lines = lines[:0]
		for i := range *f {
			if (*f)[i].Kind == h1.Upgrade {
				lines = append(lines, (*f)[i].Value)
			}
		}
		if len(lines) > 0 {
			o.upgrade = upgradeTo(lines)
		}
	}
	f.DelKinds(connectionKinds)
	return o, true
}

// heedOptions heeds one Connection field.
func heedOptions(f *h1.Fields, value string, keep []string, o *options) (upgrading bool) {
	for option := range strings.SplitSeq(value, ",") {
		option = strings.Trim(option, " \t")
		switch kind := h1.KindOf(option); {
		case option == "":
		case kind == h1.Upgrade:
			upgrading = true
		case h1.EqualFold(option, "close"):
			o.close = true
		case kind == h1.KeepAlive:
			o.keepAlive = true
		case kind != h1.Plain && kind != h1.XForwardedFor:
			// Removed anyway, or written anew; Host and Expect are no business of Connection's.
		case !slices.Contains(keep, http.CanonicalHeaderKey(option)):
			f.Del(option)
		}
	}
	return upgrading
}

// connectionOptions is the Connection field of a request that has these fields.
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
