package telemetry

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/proxy"
)

// newTelemetry returns a Telemetry that has a metric, and its log.
func newTelemetry(t *testing.T, c Config) (*Telemetry, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	c.Span, c.Registry, c.Log, c.Out = "test", prometheus.NewRegistry(), zap.New(core), cmp.Or[io.Writer](c.Out, io.Discard)
	c.Registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "metric_total"}))
	tel, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return tel, logs
}

func pushedTo(url string) observability.Exporter {
	return observability.Exporter{Protocol: observability.HTTP, Endpoint: url, Interval: time.Millisecond, Timeout: time.Hour}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func within(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Errorf("not within a minute: %s", what)
	}
}

// Metrics go to the next collector at once, even if the previous one hangs and has pending metrics. (Meanwhile the activator
// used to apply no ConfigMap.)
func TestACollectorThatHangsHoldsUpNoChange(t *testing.T) {
	asked, release, got := make(chan struct{}, 100), make(chan struct{}), make(chan struct{}, 100)
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-release }))
	defer hangs.Close()
	takes := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case got <- struct{}{}:
		default:
		}
	}))
	defer takes.Close()
	tel, logs := newTelemetry(t, Config{FlushTime: time.Hour})
	must(t, tel.SetMetrics(pushedTo(hangs.URL)))
	within(t, "an export to the first", asked)
	changed := make(chan struct{})
	go func() { defer close(changed); must(t, tel.SetMetrics(pushedTo(takes.URL))) }()
	within(t, "the change", changed)
	within(t, "an export to the second", got)
	close(release)
	<-changed
	must(t, tel.SetMetrics(observability.Exporter{}))
	tel.Close()
	if n := logs.FilterMessage("metrics are pushed").Len(); n != 2 {
		t.Errorf("%v", logs.All())
	}
}

// pages records which addresses are served, and refuses to serve one.
type pages struct {
	all    []string
	refuse string
}

var errTaken = errors.New("the address is taken")

func (p *pages) open(addr string) (io.Closer, error) {
	if addr == p.refuse {
		return nil, errTaken
	}
	p.all = append(p.all, "open "+addr)
	return page{p, addr}, nil
}

type page struct {
	of   *pages
	addr string
}

func (p page) Close() error {
	p.of.all = append(p.of.all, "close "+p.addr)
	return nil
}

func TestPage(t *testing.T) {
	at := func(addr string) observability.Exporter {
		return observability.Exporter{Protocol: observability.Prometheus, Endpoint: addr}
	}
	p := &pages{refuse: "c"}
	tel, _ := newTelemetry(t, Config{Page: p.open})
	must(t, tel.SetMetrics(at("a")))
	must(t, tel.SetMetrics(at("a"))) // an informer may deliver a ConfigMap more than once
	must(t, tel.SetMetrics(at("b")))
	for range 2 {
		if err := tel.SetMetrics(at("c")); !errors.Is(err, errTaken) {
			t.Error(err)
		}
	}
	p.refuse = ""
	must(t, tel.SetMetrics(at("c")))
	tel.Close()
	if want := []string{"open a", "close a", "open b", "close b", "open c", "close c"}; !slices.Equal(p.all, want) {
		t.Errorf("%q, want %q", p.all, want)
	}
}

// answers is a policy that answers every request itself.
type answers struct{ proxy.NopExchange }

func (p answers) Begin(*proxy.Request) proxy.Exchange { return p }

func (answers) Next(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	return proxy.Decision{Local: &proxy.Local{Status: http.StatusNoContent}}, nil
}

// visit sends n requests through a policy that tel wraps.
func visit(t *testing.T, tel *Telemetry, n int) {
	t.Helper()
	h, err := proxy.New(proxy.Config{Policy: tel.Wrap(answers{}), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnContext = proxy.ConnContext
	s.Start()
	defer s.Close()
	for range n {
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

// The request log can be turned on and off, a wrong template changes nothing, and its metrics exist once it has been on.
func TestRequestLog(t *testing.T) {
	var out strings.Builder
	tel, _ := newTelemetry(t, Config{Out: &out})
	series := func() (n int) {
		families, err := tel.config.Registry.Gather()
		must(t, err)
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "sluice_request_log_") {
				n++
			}
		}
		return n
	}
	visit(t, tel, 1)
	if n := series(); n != 0 {
		t.Errorf("%d metrics of a log that is off", n)
	}
	for _, template := range []string{"first {{.Response.Code}}", "second {{.Response.Code}}"} {
		must(t, tel.SetRequestLog(observability.RequestLog{Enabled: true, Template: template}))
		if tel.SetRequestLog(observability.RequestLog{Enabled: true, Template: "{{"}) == nil {
			t.Error("a malformed template is accepted")
		}
		visit(t, tel, 1)
		must(t, tel.SetRequestLog(observability.RequestLog{}))
		visit(t, tel, 1)
	}
	if n := series(); n != 2 {
		t.Errorf("%d metrics", n)
	}
	tel.Close()
	if got := out.String(); got != "first 204\nsecond 204\n" {
		t.Errorf("%q", got)
	}
}

// Lines and spans that can't be written or sent are lost, and the loss is logged; Close takes FlushTime at most.
func TestWhatIsLostIsTold(t *testing.T) {
	reader, out := io.Pipe()
	gone := httptest.NewServer(nil)
	gone.Close()
	tel, logs := newTelemetry(t, Config{Out: out, FlushTime: time.Second})
	must(t, tel.SetRequestLog(observability.RequestLog{Enabled: true, Template: strings.Repeat("x", 400<<10)}))
	must(t, tel.SetTraces(observability.Exporter{Protocol: observability.Zipkin, Endpoint: gone.URL, SamplingRate: 1}))
	visit(t, tel, 5) // two of the lines are in the buffer, and one is being written
	tel.Close()
	for _, line := range []string{
		"the export of traces fails", "telemetry was not sent in time; some of it is lost",
		"lines of the request log were lost", "spans were lost",
	} {
		if logs.FilterMessage(line).Len() != 1 {
			t.Errorf("not logged: %s in %v", line, logs.All())
		}
	}
	_ = reader.Close() // ends the writer
}

// Lines and spans that wait for an Out that blocks when the program ends are counted among what is lost.
func TestWhatABlockedOutHoldsUpIsCounted(t *testing.T) {
	reader, out := io.Pipe()
	tel, logs := newTelemetry(t, Config{Out: out, FlushTime: 200 * time.Millisecond})
	must(t, tel.SetRequestLog(observability.RequestLog{Enabled: true, Template: "x"}))
	must(t, tel.SetTraces(observability.Exporter{Protocol: observability.Stdout, SamplingRate: 1}))
	visit(t, tel, 3)
	tel.Close()
	for _, line := range []string{"lines of the request log were lost", "spans were lost"} {
		if logs.FilterMessage(line).Len() != 1 {
			t.Errorf("not logged: %s in %v", line, logs.All())
		}
	}
	_ = reader.Close() // ends the writers
}
