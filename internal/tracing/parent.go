package tracing

import (
	"encoding/hex"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
)

// Fields of trace contexts, in canonical form.
const (
	traceparent = "Traceparent"
	tracestate  = "Tracestate"
	b3Single    = "B3"
	b3Trace     = "X-B3-Traceid"
	b3Span      = "X-B3-Spanid"
	b3Parent    = "X-B3-Parentspanid"
	b3Sampled   = "X-B3-Sampled"
	b3Flags     = "X-B3-Flags"
)

type (
	traceID [16]byte
	spanID  [8]byte
)

// parent is the trace context of a request. Its zero value is that of a request without one.
type parent struct {
	trace traceID // zero: none
	span  spanID
	// sampled is the sampling decision, if decided is true.
	decided, sampled   bool
	debug              bool // B3: sampled regardless of sampling rates
	random             bool // W3C level 2: the flag random-trace-id
	short              bool // B3: a trace ID of 64 bits
	w3c, multi, single bool // the forms in which it came: traceparent, B3 in several fields, B3 in one
}

func (p *parent) exists() bool { return p.trace != traceID{} }

// extract reads W3C's form, else B3's in several fields or in one. It ignores malformed fields.
func extract(h proxy.Header) parent {
	var p parent
	if v := h.Values(traceparent); len(v) == 1 {
		p = parseTraceparent(v[0])
	}
	for _, b := range []parent{fromMulti(h), parseSingle(h.Get(b3Single))} {
		if p.exists() || p.decided { // an earlier form has the context: b adds only its form
			p.multi, p.single = p.multi || b.multi, p.single || b.single
		} else {
			b.multi, b.single = b.multi || p.multi, b.single || p.single
			p = b
		}
	}
	return p
}

// parseTraceparent reads version 00, and the parts of later versions that 00 has too.
func parseTraceparent(v string) parent {
	const size = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(v) < size || v[2] != '-' || v[35] != '-' || v[52] != '-' || len(v) > size && (v[:2] == "00" || v[size] != '-') {
		return parent{}
	}
	p := parent{w3c: true, decided: true}
	var version, flags [1]byte
	if !unhex(version[:], v[:2]) || !unhex(p.trace[:], v[3:35]) || !unhex(p.span[:], v[36:52]) || !unhex(flags[:], v[53:size]) ||
		version[0] == 0xff || p.trace == (traceID{}) || p.span == (spanID{}) {
		return parent{}
	}
	p.sampled, p.random = flags[0]&1 != 0, flags[0]&2 != 0
	return p
}

func fromMulti(h proxy.Header) parent {
	id := h.Get(b3Trace)
	state := h.Get(b3Sampled)
	if h.Get(b3Flags) == "1" {
		state = "d"
	}
	if id == "" && state == "" {
		return parent{}
	}
	return b3(id, h.Get(b3Span), state, parent{multi: true})
}

// parseSingle reads {trace}-{span}[-{state}[-{parent}]], or {state} alone.
func parseSingle(v string) parent {
	if v == "" {
		return parent{}
	}
	id, rest, ok := strings.Cut(v, "-")
	if !ok {
		return b3("", "", v, parent{single: true})
	}
	span, rest, _ := strings.Cut(rest, "-")
	state, _, _ := strings.Cut(rest, "-")
	return b3(id, span, state, parent{single: true})
}

// b3 completes p. It returns the zero parent if a part is malformed.
func b3(id, span, state string, p parent) parent {
	switch state {
	case "1", "true": // old tracers send true and false
		p.decided, p.sampled = true, true
	case "d":
		p.decided, p.sampled, p.debug = true, true, true
	case "0", "false":
		p.decided = true
	case "":
	default:
		return parent{}
	}
	if id == "" {
		return p
	}
	to := p.trace[:]
	if p.short = len(id) == 16; p.short {
		to = to[8:]
	}
	if !unhex(to, id) || !unhex(p.span[:], span) || p.trace == (traceID{}) || p.span == (spanID{}) {
		return parent{}
	}
	return p
}

// unhex decodes lower-case digits into to, and reports whether they fill it exactly.
func unhex(to []byte, from string) bool {
	if len(from) != 2*len(to) {
		return false
	}
	for i := range len(from) {
		if c := from[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(to, []byte(from))
	return err == nil
}

// inject sets the fields of h in the forms of p, with span as the parent.
func (p *parent) inject(h proxy.Header, trace traceID, span spanID, sampled bool) {
	if !p.w3c {
		h.Del(tracestate) // it belongs to a malformed traceparent
	}
	h.Set(traceparent, formatTraceparent(trace, span, sampled, p.random))
	id := hex.EncodeToString(trace[:])
	if p.short {
		id = id[16:]
	}
	if p.multi {
		h.Set(b3Trace, id)
		h.Set(b3Span, hex.EncodeToString(span[:]))
		if p.exists() && p.span != span {
			h.Set(b3Parent, hex.EncodeToString(p.span[:]))
		}
		if h.Get(b3Flags) != "1" { // 1 implies that it is sampled
			h.Set(b3Sampled, b3State(sampled, false))
		}
	}
	if p.single {
		v := id + "-" + hex.EncodeToString(span[:]) + "-" + b3State(sampled, p.debug)
		if p.exists() && p.span != span {
			v += "-" + hex.EncodeToString(p.span[:])
		}
		h.Set(b3Single, v)
	}
}

// decline adds to the fields that the request is not recorded, unless they have that decision already.
func (p *parent) decline(h proxy.Header, trace traceID) {
	if p.w3c {
		return
	}
	if !p.exists() && !p.decided {
		h.Set(traceparent, formatTraceparent(trace, newSpanID(), false, false))
		h.Del(tracestate)
		return
	}
	span := p.span
	if !p.exists() {
		span = newSpanID()
	}
	if p.decided {
		p.multi, p.single = false, false // these fields have the decision
	}
	p.inject(h, trace, span, false)
}

func b3State(sampled, debug bool) string {
	switch {
	case debug:
		return "d"
	case sampled:
		return "1"
	}
	return "0"
}

func formatTraceparent(trace traceID, span spanID, sampled, random bool) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, span[:])
	b = append(b, "-0"...)
	flags := 0
	if sampled {
		flags |= 1
	}
	if random {
		flags |= 2
	}
	return string(append(b, digits[flags]))
}
