package broker

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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
			http.Error(w, told(err).Error(), status)
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
	buf := s.server.buffers.get()
	defer s.server.buffers.put(buf) // append has copied what refers to it
	held := int64(0)
	defer func() { s.server.bodies.Add(-held) }()
	body, err := readBody(r, s.server.config.MaxEventBytes, buf, func(more int) bool {
		held += int64(more)
		return s.server.bodies.Add(int64(more)) <= s.server.config.MaxBodyBytes
	})
	if err != nil {
		return 0, err
	}
	events, err := cloudevent.Read(r.Header, body, cloudevent.Limits{})
	if err != nil {
		return 0, badRequest{err}
	}
	records, spans := make([]record, len(events)), make([]Span, len(events))
	now, from := time.Now(), traceOfHeader(r.Header)
	for i := range events {
		records[i] = record{arrived: now, ttl: incomingTTL(&events[i])}
		if records[i].ttl == 0 {
			err = badRequest{errLoop}
		}
		records[i].trace, spans[i] = s.receive(&events[i], from)
		records[i].event = events[i]
	}
	if len(records) > 0 && err == nil {
		err = s.append(r.Context(), records...)
	}
	s.received(spans, records, err)
	if err != nil {
		return len(events), err
	}
	s.metrics.accepted.Add(float64(len(records)))
	return len(events), nil
}

// firstRead is how much memory a body has before any of it has come: senders that announce much and send nothing leave room for others.
const firstRead = 4 << 10

// readBody reads a body into a buffer, whose memory take reserves as it grows.
func readBody(r *http.Request, most int, buf *[]byte, take func(more int) bool) ([]byte, error) {
	tooLarge := fmt.Errorf("a body may have %d bytes: %w", most, cloudevent.ErrTooLarge)
	size := most + 1 // one more, by which a body that is too large is known
	if r.ContentLength >= 0 {
		size = int(min(r.ContentLength, int64(size)))
	}
	if size > most && r.ContentLength >= 0 {
		return nil, tooLarge
	}
	b := (*buf)[:0]
	defer func() { *buf = b }()
	for room := min(size, firstRead); ; room = min(size, 2*room) {
		if !take(room - len(b)) {
			return nil, errBusy
		}
		b = slices.Grow(b, room-len(b))
		n, err := io.ReadFull(r.Body, b[len(b):room])
		b = b[:len(b)+n]
		switch ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); {
		case len(b) > most:
			return nil, tooLarge
		case err == nil && len(b) == size, ended && r.ContentLength < 0:
			return b, nil
		case err != nil:
			return nil, badRequest{fmt.Errorf("reading the body: %w", err)}
		}
	}
}

// statusOf maps errors to statuses.
func statusOf(err error) int {
	switch {
	case errors.Is(err, eventlog.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &badRequest{}), errors.Is(err, cloudevent.ErrTooLarge):
		return cloudevent.StatusOf(err)
	}
	return http.StatusServiceUnavailable // no space, an error of the disk, or closed
}

// told returns what others are told of an error: of one of the disk not which file of this machine it is about, which is in the log.
func told(err error) error {
	switch {
	case errors.Is(err, errBusy), errors.Is(err, ErrClosed), statusOf(err) != http.StatusServiceUnavailable:
		return err
	case errors.Is(err, eventlog.ErrFull):
		return fmt.Errorf("%w of the broker: send it again later", eventlog.ErrFull)
	case errors.Is(err, eventlog.ErrClosed):
		return ErrClosed
	}
	return errors.New("the event could not be stored: send it again later")
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
