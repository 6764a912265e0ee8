package broker

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// sender makes attempts to deliver events.
type sender struct {
	transport http.RoundTripper
	maxReply  int
}

// result is a label of metrics: what came of an attempt.
type result string

const (
	resultOK       result = "ok"        // 2xx
	resultRejected result = "rejected"  // a status that isn't retried
	resultFailed   result = "failed"    // a status that is retried
	resultReply    result = "bad_reply" // a reply that is no event, or can't be stored
	resultTimeout  result = "timeout"
	resultError    result = "error" // there was no response
)

// failure is an attempt that has failed.
type failure struct {
	result result
	sink   string
	// code and data are those of the response, or what Knative says when there was none.
	code  int
	data  []byte
	retry bool
	after time.Duration
}

// Attributes of events in a dead letter sink (knative.dev/eventing/pkg/kncloudevents/attributes).
const (
	errorSinkAttribute = "knativeerrordest"
	errorCodeAttribute = "knativeerrorcode"
	errorDataAttribute = "knativeerrordata"
	// longestErrorData is that of the attribute, which is in base64.
	longestErrorData = 1024
)

// final returns the failure of an event that has no other sink.
func (f *failure) final() *failure {
	last := *f
	last.retry = false
	return &last
}

// mark puts the failure into an event for the dead letter sink.
func (f *failure) mark(e cloudevent.Event) (cloudevent.Event, error) {
	data := base64.StdEncoding.EncodeToString(f.data)
	for name, value := range map[string]string{
		errorSinkAttribute: f.sink, errorCodeAttribute: strconv.Itoa(f.code), errorDataAttribute: data[:min(len(data), longestErrorData)],
	} {
		if err := e.Set(name, value); err != nil {
			return e, err
		}
	}
	return e, nil
}

// request is an attempt.
type request struct {
	namespace string // the trigger's
	sink      *url.URL
	event     *cloudevent.Event
	trace     TraceContext
	key       string // for the field Sluice-Key
	keyed     bool
	reply     bool // an event in the response is wanted
	inJSON    bool // structured mode
}

// send makes an attempt. It returns the events that the sink has replied with.
func (s *sender) send(ctx context.Context, r request) ([]cloudevent.Event, *failure) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	header := http.Header{knative.HeaderEventNamespace: {r.namespace}}
	var body []byte
	if r.inJSON {
		body = r.event.WriteStructured(header, ttlAttribute)
	} else {
		body = r.event.WriteRequest(header)
		delete(header, "Ce-Knativebrokerttl")
	}
	if r.reply {
		header["Prefer"] = []string{"reply"} // Knative data plane specification, "Derived (Reply) Events"
	}
	if r.keyed {
		header[knative.HeaderKey] = []string{headerKey(r.key)}
	}
	if r.trace.Parent != "" {
		header["Traceparent"] = []string{r.trace.Parent}
		if r.trace.State != "" {
			header["Tracestate"] = []string{r.trace.State}
		}
	}
	// An event may be delivered twice, so net/http may repeat a request on a connection that its peer has just closed. The field is not sent.
	header["Idempotency-Key"] = nil
	request := &http.Request{
		Method: http.MethodPost, URL: r.sink, Host: r.sink.Host, Header: header, ContentLength: int64(len(body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body:    io.NopCloser(bytes.NewReader(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	if len(body) == 0 {
		request.Body = http.NoBody
	}
	response, err := s.transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, noResponse(ctx, r.sink, err)
	}
	defer response.Body.Close()
	if status := response.StatusCode; !r.reply || status/100 != 2 || status == http.StatusAccepted { // the status says all
		defer time.AfterFunc(bodyTime, cancel).Stop()
	}
	return s.read(ctx, r, response)
}

// noResponse is the failure of an attempt without a response, as Knative reports it to a dead letter sink.
func noResponse(ctx context.Context, sink *url.URL, err error) *failure {
	f := &failure{
		result: resultError, sink: sink.String(), code: http.StatusInternalServerError,
		data: fmt.Appendf(nil, "dispatch error: %v", err), retry: true,
	}
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		f.result = resultTimeout
	}
	return f
}

// read evaluates a response: Knative data plane specification, "Event Acknowledgement and Delivery Retry".
func (s *sender) read(ctx context.Context, r request, response *http.Response) ([]cloudevent.Event, *failure) {
	status := response.StatusCode
	f := &failure{result: resultRejected, sink: r.sink.String(), code: status}
	switch {
	case status < 200: // 101: what follows is no body, and ends neither by itself nor with ctx
		return nil, f
	case status == http.StatusAccepted, status/100 == 2 && !r.reply:
		discard(response.Body)
		return nil, nil
	case status/100 == 2:
		return s.readReply(ctx, r, response)
	case cloudevent.Retriable(status):
		f.result, f.retry = resultFailed, true
		f.after = retryAfter(status, response.Header)
	}
	f.data, _ = io.ReadAll(io.LimitReader(response.Body, longestErrorData))
	discard(response.Body)
	return nil, f
}

// readReply reads the events of a response. As in Knative, a response that is neither empty nor an event is a failure with status 502.
func (s *sender) readReply(ctx context.Context, r request, response *http.Response) ([]cloudevent.Event, *failure) {
	bad := func(why string) *failure {
		return &failure{result: resultReply, sink: r.sink.String(), code: http.StatusBadGateway, data: []byte(why), retry: true}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(s.maxReply)+1))
	switch {
	case err != nil:
		return nil, noResponse(ctx, r.sink, err)
	case len(body) > s.maxReply:
		return nil, bad(fmt.Sprintf("the reply has more than %d bytes", s.maxReply))
	}
	events, err := cloudevent.Read(response.Header, body, cloudevent.Limits{})
	switch {
	case errors.Is(err, cloudevent.ErrNoEvent) && len(body) == 0:
		return nil, nil
	case err != nil:
		return nil, bad(err.Error())
	}
	return events, nil
}

// bodyTime is how long the rest of a response may take whose status has decided. Then its connection is closed.
const bodyTime = time.Second

// discard reads what is left of a small body, so that its connection can be used again.
func discard(body io.Reader) { _, _ = io.CopyN(io.Discard, body, 64<<10) }
