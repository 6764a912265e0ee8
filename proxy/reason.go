package proxy

import "net/http"

// Reason says why a request was not answered by its app. The list is closed: logs, metrics and the Proxy-Status field
// (RFC 9209) use the same names, and docs/operations.md explains each.
type Reason uint8

// The reasons. ReasonNone is success.
const (
	ReasonNone Reason = iota
	UnknownRevision
	QueueFull
	QueueTimeout
	Busy
	Draining
	NotReady
	ConnectRefused
	ConnectTimeout
	UpstreamClosed
	ResponseTruncated
	TimeoutStart
	TimeoutTotal
	TimeoutIdle
	BadRequest
	BadResponse
	TLSFailed
	ClientGone
	Internal
	reasons // their number
)

// StatusClientClosedRequest is the status, in logs and metrics, of a request whose client disconnected before the response;
// it is never sent. The number is nginx's.
const StatusClientClosedRequest = 499

// reasonTable holds, for each reason, its name, its error type of RFC 9209 §2.3, and the statuses of the answer.
var reasonTable = [reasons]struct {
	name, rfc9209 string
	status        int
	grpc          uint8 // https://grpc.github.io/grpc/core/md_doc_statuscodes.html
}{
	ReasonNone:        {"", "", http.StatusOK, 0},
	UnknownRevision:   {"unknown_revision", "destination_not_found", http.StatusNotFound, grpcNotFound},
	QueueFull:         {"queue_full", "connection_limit_reached", http.StatusServiceUnavailable, grpcResourceExhausted},
	QueueTimeout:      {"queue_timeout", "destination_unavailable", http.StatusServiceUnavailable, grpcUnavailable},
	Busy:              {"busy", "destination_unavailable", http.StatusServiceUnavailable, grpcUnavailable},
	Draining:          {"draining", "destination_unavailable", http.StatusServiceUnavailable, grpcUnavailable},
	NotReady:          {"not_ready", "destination_unavailable", http.StatusServiceUnavailable, grpcUnavailable},
	ConnectRefused:    {"connect_refused", "connection_refused", http.StatusBadGateway, grpcUnavailable},
	ConnectTimeout:    {"connect_timeout", "connection_timeout", http.StatusBadGateway, grpcUnavailable},
	UpstreamClosed:    {"upstream_closed", "connection_terminated", http.StatusBadGateway, grpcUnavailable},
	ResponseTruncated: {"response_truncated", "http_response_incomplete", http.StatusBadGateway, grpcUnavailable},
	TimeoutStart:      {"timeout_start", "http_response_timeout", http.StatusGatewayTimeout, grpcDeadlineExceeded},
	TimeoutTotal:      {"timeout_total", "http_response_timeout", http.StatusGatewayTimeout, grpcDeadlineExceeded},
	TimeoutIdle:       {"timeout_idle", "connection_read_timeout", http.StatusGatewayTimeout, grpcDeadlineExceeded},
	BadRequest:        {"bad_request", "http_request_error", http.StatusBadRequest, grpcInternal},
	BadResponse:       {"bad_response", "http_protocol_error", http.StatusBadGateway, grpcInternal},
	TLSFailed:         {"tls", "tls_certificate_error", http.StatusBadGateway, grpcUnavailable},
	ClientGone:        {"client_gone", "", StatusClientClosedRequest, grpcCanceled},
	Internal:          {"internal", "proxy_internal_error", http.StatusInternalServerError, grpcInternal},
}

// gRPC status codes.
const (
	grpcCanceled          = 1
	grpcDeadlineExceeded  = 4
	grpcNotFound          = 5
	grpcResourceExhausted = 8
	grpcInternal          = 13
	grpcUnavailable       = 14
)

// String is the name of r in logs and metrics; empty for ReasonNone.
func (r Reason) String() string { return reasonTable[r].name }

// ProxyStatus is the error type of r in RFC 9209; empty for ReasonNone and ClientGone, which is not answered.
func (r Reason) ProxyStatus() string { return reasonTable[r].rfc9209 }

// Status is the HTTP status of a response for r, unless the Error has another.
func (r Reason) Status() int { return reasonTable[r].status }

// Reasons returns every reason but ReasonNone.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := ReasonNone + 1; r < reasons; r++ {
		all = append(all, r)
	}
	return all
}
