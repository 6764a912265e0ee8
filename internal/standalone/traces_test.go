package standalone

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/internal/observability"
)

// collector is an OTLP receiver that keeps the spans that are posted to it.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans map[string]collected // by trace and span ID
}

type collected struct {
	service string
	*tracepb.Span
}

func newCollector(t *testing.T) *collector {
	c := &collector{spans: map[string]collected{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var all tracepb.TracesData
	if err := proto.Unmarshal(body, &all); err != nil || r.URL.Path != "/v1/traces" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range all.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans[fmt.Sprintf("%x-%x", s.GetTraceId(), s.GetSpanId())] = collected{service, s}
			}
		}
	}
}

// path returns the services and the names of a span and of those that it comes from, the latest first, and the ID of the first one's parent.
func (c *collector) path(traceparent string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(traceparent) < 52 {
		return traceparent
	}
	trace, id := traceparent[3:35], traceparent[36:52]
	var names []string
	for {
		s, ok := c.spans[trace+"-"+id]
		if !ok {
			return strings.Join(append(names, id), " < ")
		}
		names = append(names, s.service+": "+s.GetName())
		id = fmt.Sprintf("%x", s.GetParentSpanId())
	}
}

func (c *collector) observability() observability.Config {
	return observability.FromEnvironment(func(name string) (string, bool) {
		if name != "OTEL_EXPORTER_OTLP_ENDPOINT" {
			return "", false
		}
		return c.URL, true
	})
}

// tracedApp is an app that says where it is in a trace.
const tracedApp = `package main

import ("fmt"; "net/http"; "os")

func main() {
	http.ListenAndServe("127.0.0.1:" + os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("traced %s.\n", r.Header.Get("Traceparent"))
		w.WriteHeader(202)
	}))
}
`

// An event's way from its sender through the ingress, the broker, the activator and a queue-proxy to an app is one trace.
func TestAnEventIsOneTrace(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(tracedApp)
	c := newCollector(t)
	w := newWorld(t, command(service("player", "", "x", ""), b.file)+eventingObject("Broker", "b", "{}")+
		eventingObject("Trigger", "t", "{broker: b, subscriber: "+toService("player")+"}"))
	w.config.Observability = c.observability()
	w.start()
	w.sees("events for Broker b:")
	req, err := http.NewRequest(http.MethodPost, "http://"+w.server.config.addr()+"/default/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/test", "Ce-Type": "t", "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		req.Header.Set(name, value)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	w.sees("traced 00-0af7651916cd43dd8448eb211c80319c-")
	_, at, _ := strings.Cut(w.out.String(), "traced ")
	at, _, _ = strings.Cut(at, ".")
	w.end() // sends all spans
	const want = "player: queue < sluice-quickstart: handle < sluice-quickstart: send trigger:t.default < " +
		"sluice-quickstart: receive broker:b.default < sluice-quickstart: handle < b7ad6b7169203331"
	if got := c.path(at); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
