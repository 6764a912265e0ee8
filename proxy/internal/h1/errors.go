package h1

import "net/http"

// Error is what is wrong with a message.
type Error uint8

// What can be wrong with a message. Those up to ErrExpect are of heads of requests, some of them of other things too.
const (
	ErrLineEnd Error = iota + 1
	ErrRequestLine
	ErrNotHTTP
	ErrLineTooLong
	ErrMethod
	ErrTarget
	ErrVersion
	ErrHeadTooLarge
	ErrFields
	ErrField
	ErrFieldName
	ErrFieldValue
	ErrFold
	ErrNoHost
	ErrHosts
	ErrHost
	ErrLength
	ErrLengths
	ErrLengthAndCode
	ErrCoding
	ErrOldCoding
	ErrTrailer
	ErrExpect
	ErrStatusLine
	ErrChunkSize
	ErrChunkExtension
	ErrChunkEnd
	ErrChunkOverhead
)

// Rule is what a message can break.
type Rule struct {
	Name    string // what is wrong when it is broken, in a few words
	Section string // of the RFC, if there is one
	Status  int    // of the answer, if the message is a request
}

// String is the name with the section.
func (r Rule) String() string {
	if r.Section == "" {
		return r.Name
	}
	return r.Name + " (" + r.Section + ")"
}

var rules = [...]Rule{
	ErrLineEnd:        {"malformed line end: CR and LF come together", "RFC 9112 §2.2", http.StatusBadRequest},
	ErrRequestLine:    {"malformed request line", "RFC 9112 §3", http.StatusBadRequest},
	ErrNotHTTP:        {"not HTTP", "RFC 9113 §3.4", http.StatusBadRequest},
	ErrLineTooLong:    {"request line too long", "RFC 9112 §3", http.StatusRequestURITooLong},
	ErrMethod:         {"malformed method", "RFC 9110 §9.1", http.StatusBadRequest},
	ErrTarget:         {"malformed request-target", "RFC 9112 §3.2", http.StatusBadRequest},
	ErrVersion:        {"unsupported version", "RFC 9110 §2.5", http.StatusHTTPVersionNotSupported},
	ErrHeadTooLarge:   {"head too large", "RFC 6585 §5", http.StatusRequestHeaderFieldsTooLarge},
	ErrFields:         {"too many fields", "RFC 6585 §5", http.StatusRequestHeaderFieldsTooLarge},
	ErrField:          {"malformed field line", "RFC 9112 §5", http.StatusBadRequest},
	ErrFieldName:      {"malformed field name", "RFC 9110 §5.1", http.StatusBadRequest},
	ErrFieldValue:     {"malformed field value", "RFC 9110 §5.5", http.StatusBadRequest},
	ErrFold:           {"obsolete line folding", "RFC 9112 §5.2", http.StatusBadRequest},
	ErrNoHost:         {"missing Host", "RFC 9112 §3.2", http.StatusBadRequest},
	ErrHosts:          {"more than one Host", "RFC 9112 §3.2", http.StatusBadRequest},
	ErrHost:           {"malformed Host", "RFC 9110 §7.2", http.StatusBadRequest},
	ErrLength:         {"malformed Content-Length", "RFC 9110 §8.6", http.StatusBadRequest},
	ErrLengths:        {"more than one Content-Length", "RFC 9112 §6.3", http.StatusBadRequest},
	ErrLengthAndCode:  {"Content-Length and Transfer-Encoding", "RFC 9112 §6.1", http.StatusBadRequest},
	ErrCoding:         {"unsupported Transfer-Encoding", "RFC 9112 §6.1", http.StatusNotImplemented},
	ErrOldCoding:      {"Transfer-Encoding of HTTP/1.0", "RFC 9112 §6.1", http.StatusBadRequest},
	ErrTrailer:        {"malformed Trailer", "RFC 9110 §6.5.1", http.StatusBadRequest},
	ErrExpect:         {"unknown expectation", "RFC 9110 §10.1.1", http.StatusExpectationFailed},
	ErrStatusLine:     {"malformed status line", "RFC 9112 §4", http.StatusBadRequest},
	ErrChunkSize:      {"malformed chunk size", "RFC 9112 §7.1", http.StatusBadRequest},
	ErrChunkExtension: {"malformed chunk extension", "RFC 9112 §7.1.1", http.StatusBadRequest},
	ErrChunkEnd:       {"chunk without its line end", "RFC 9112 §7.1", http.StatusBadRequest},
	ErrChunkOverhead:  {"chunks of more framing than content", "", http.StatusBadRequest},
}

// Rule is the one that was broken.
func (e Error) Rule() Rule { return rules[e] }

func (e Error) Error() string { return rules[e].String() }
