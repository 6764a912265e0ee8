package broker

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/broker/internal/eventlog"
	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// ServeHTTP takes events for the broker that the path names, /NAMESPACE/NAME. It answers with 202 when they are durable. Timeouts, and the size of
// headers, are those of the http.Server.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Allow"] = allowed
	switch r.Method {
	case http.MethodPost:
	case http.MethodOptions: // also of CloudEvents' webhooks, as in Knative
		w.Header().Set("WebHook-Allowed-Origin", "*")
		w.Header().Set("WebHook-Allowed-Rate", "*")
		w.WriteHeader(http.StatusOK)
		return
	default:
		http.Error(w, "events are sent with POST", http.StatusMethodNotAllowed)
		return
	}
	id, status := brokerOf(r.URL.Path)
	if status != 0 {
		http.Error(w, fmt.Sprintf("the path %q should be /NAMESPACE/BROKER", r.URL.Path), status)
		return
	}
	st, err := s.stream(id)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case st == nil:
		http.Error(w, fmt.Sprintf("there is no broker %v", id), http.StatusNotFound)
	default:
		if n, err := st.take(r); err != nil {
			st.metrics.events(storeResult(err)).Add(float64(max(n, 1)))
			status := statusOf(err)
			if status == http.StatusServiceUnavailable {
				w.Header()["Retry-After"] = oneSecond
			}
			http.Error(w, err.Error(), status)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

// Values of fields.
var (
	allowed   = []string{"POST, OPTIONS"}
	oneSecond = []string{"1"}
)

// brokerOf returns the broker that a path names, or the status of the response.
func brokerOf(path string) (ID, int) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(path, "/"), "/")
	if !ok {
		return ID{}, http.StatusNotFound
	}
	namespace, name, ok := strings.Cut(rest, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return ID{}, http.StatusBadRequest
	}
	return ID{namespace, name}, 0
}

// badRequest is an error of the sender.
type badRequest struct{ error }

func (b badRequest) Unwrap() error { return b.error }

// errLoop: see ttlAttribute.
var errLoop = errors.New("attribute " + ttlAttribute + ": the event has come to the end of it, and is dropped")

var errBusy = errors.New("too many bodies of events are being read: send it again later")

// take stores the events of a request, and returns how many it has.
func (s *stream) take(r *http.Request) (int, error) {
	size := int64(s.server.config.MaxEventBytes)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength)
	}
	defer s.server.bodies.Add(-size)
	if s.server.bodies.Add(size) > s.server.config.MaxBodyBytes {
		return 0, errBusy
	}
	buf := s.server.buffers.get()
	defer s.server.buffers.put(buf) // append has copied what refers to it
	body, err := readBody(r, s.server.config.MaxEventBytes, buf)
	if err != nil {
		return 0, err
	}
	events, err := cloudevent.Read(r.Header, body, cloudevent.Limits{})
	if err != nil {
		return 0, badRequest{err}
	}
	records := make([]record, len(events))
	now := time.Now()
	for i := range events {
		trace(&events[i], r.Header)
		records[i] = record{arrived: now, ttl: incomingTTL(&events[i]), event: events[i]}
		if records[i].ttl == 0 {
			return len(events), badRequest{errLoop}
		}
	}
	if len(records) > 0 {
		if err := s.append(r.Context(), records...); err != nil {
			return len(events), err
		}
	}
	s.metrics.accepted.Add(float64(len(records)))
	return len(events), nil
}

// readBody reads a body into a buffer.
func readBody(r *http.Request, most int, buf *[]byte) (_ []byte, err error) {
	tooLarge := fmt.Errorf("a body may have %d bytes: %w", most, cloudevent.ErrTooLarge)
	switch n := int(min(r.ContentLength, 1<<31-1)); {
	case n > most:
		return nil, tooLarge
	case n >= 0:
		if cap(*buf) < n {
			*buf = make([]byte, n)
		}
		*buf = (*buf)[:n]
		_, err = io.ReadFull(r.Body, *buf)
	default:
		*buf, err = io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
		if len(*buf) > most {
			return nil, tooLarge
		}
	}
	if err != nil {
		return nil, badRequest{fmt.Errorf("reading the body: %w", err)}
	}
	return *buf, nil
}

// trace keeps the sender's trace context in the event, where it is missing (CloudEvents, "Distributed Tracing" extension). What is no
// attribute's value is ignored, as W3C Trace Context §3.2 asks for.
func trace(e *cloudevent.Event, header http.Header) {
	parent := header.Get("Traceparent")
	if parent == "" {
		return
	}
	if _, ok := e.Attribute("traceparent"); ok || e.Set("traceparent", parent) != nil {
		return
	}
	if state := header.Get("Tracestate"); state != "" {
		_ = e.Set("tracestate", state)
	}
}

// statusOf maps errors to statuses.
func statusOf(err error) int {
	switch {
	case errors.Is(err, cloudevent.ErrTooLarge), errors.Is(err, eventlog.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, cloudevent.ErrMediaType):
		return http.StatusUnsupportedMediaType
	case errors.As(err, &badRequest{}):
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable // no space, an error of the disk, or closed
}

// storeResult is the label of metrics for events that were not taken.
func storeResult(err error) string {
	switch statusOf(err) {
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusServiceUnavailable:
		if errors.Is(err, eventlog.ErrFull) {
			return "disk_full"
		}
		return "not_stored"
	}
	return "invalid"
}
