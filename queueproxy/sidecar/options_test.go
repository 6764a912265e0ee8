package sidecar

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/outputs"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// startMain runs Main until the test ends, and returns the address of requests.
func startMain(t *testing.T, app string, changes []string, more ...Option) (url string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(app)
	_, serve, _ := net.SplitHostPort(freeAddr(t))
	env := environment(append([]string{
		knative.EnvUserPort, port, knative.EnvQueueServingPort, serve, knative.EnvBindAddress, "127.0.0.1",
		knative.EnvAdminPort, "0", knative.EnvStatsPort, "0", knative.EnvDrainQuiet, "1ms",
	}, changes...)...)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Main(ctx, append([]Option{WithEnv(env), WithStderr(io.Discard)}, more...)...) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	eventually(t, "it listens", func() bool { return listens("127.0.0.1:" + serve) })
	return "http://127.0.0.1:" + serve
}

// Extensions in the form of an http.Handler get requests and not probes, and upgrades pass through them.
func TestPeers12Handler(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	var order []string
	wrap := func(name string) Option {
		return WithHandler(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			})
		})
	}
	url := startMain(t, startApp(t, http.HandlerFunc(upgradeOrOK)), nil, WithLogger(zap.New(core)), wrap("inner"), wrap("outer"))
	if got := visit(t, url, "User-Agent", kubelet, knative.HeaderProbe, "queue"); got.body != "queue" || len(order) != 0 {
		t.Errorf("a probe: %d %q, through %v", got.status, got.body, order)
	}
	if got := visit(t, url); got.body != "ok" || strings.Join(order, " ") != "outer inner" {
		t.Errorf("a request: %d %q, through %v", got.status, got.body, order)
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	_, _ = io.WriteString(c, "ping")
	got := make([]byte, 4)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "ping" {
		t.Errorf("%q %v", got, err)
	}
	if n := logs.FilterMessageSnippet("net/http").Len(); n != 1 {
		t.Errorf("the warning that net/http serves is logged %d times", n)
	}
}

// upgradeOrOK echoes the bytes that come after an upgrade.
func upgradeOrOK(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		ok(w, r)
		return
	}
	c, b, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(c, b)
}

type policyFunc func(*proxy.Request) proxy.Exchange

func (f policyFunc) Begin(req *proxy.Request) proxy.Exchange { return f(req) }

// Policies wrap each other in the order of the options, and see probes as well as requests.
func TestPeers12Policy(t *testing.T) {
	seen := make(chan string, 10)
	wrap := func(name string) Option {
		return WithPolicy(func(next proxy.Policy) proxy.Policy {
			return policyFunc(func(req *proxy.Request) proxy.Exchange {
				if queueproxy.IsProbe(req.Header) {
					seen <- name + " probe"
				} else {
					seen <- name
				}
				return next.Begin(req)
			})
		})
	}
	url := startMain(t, startApp(t, http.HandlerFunc(ok)), nil, wrap("inner"), wrap("outer"))
	visit(t, url)
	visit(t, url, "User-Agent", kubelet, knative.HeaderProbe, "queue")
	for _, want := range []string{"outer", "inner", "outer probe", "inner probe"} {
		if got := <-seen; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Connections of requests and of probes of the app's port go through the wrapped dialling.
func TestPeers12Dial(t *testing.T) {
	app := startApp(t, http.HandlerFunc(ok))
	dials := make(chan string, 100)
	url := startMain(t, freeAddr(t), []string{
		knative.EnvReadinessProbe, `{"httpGet":{"path":"/"},"successThreshold":1}`,
	}, WithDial(func(next queueproxy.DialFunc) queueproxy.DialFunc {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials <- addr
			return next(ctx, network, app) // another address
		}
	}))
	if got := visit(t, url, "User-Agent", kubelet, knative.HeaderProbe, "queue"); got.status != 200 {
		t.Errorf("a probe: %d", got.status)
	}
	if got := visit(t, url); got.body != "ok" {
		t.Errorf("a request: %d %q", got.status, got.body)
	}
	if len(dials) == 0 {
		t.Error("nothing was dialled")
	}
}

// Requests are logged one a line, as the classic variables and as OBSERVABILITY_CONFIG ask for it.
func TestRequestLog(t *testing.T) {
	const template = `{{.Request.Method}} {{.Request.RequestURI}} {{.Response.Code}} {{.Revision.Namespace}}/{{.Revision.Name}} {{.Revision.Service}} {{.Revision.Configuration}} {{.Revision.PodName}} {{.Revision.PodIP}} {{.TraceID}}`
	const want = "GET / 200 default/hello-00001 svc cfg hello-00001-abc 10.0.0.7 4bf92f3577b34da6a3ce929d0e0e4736\n"
	const wantProbe = "GET / 200 default/hello-00001 svc cfg hello-00001-abc 10.0.0.7 \n"
	for _, test := range []struct {
		name string
		env  []string
		want string
	}{
		{"nothing", nil, ""},
		{"current", []string{knative.EnvObservabilityConfig, `{"enableRequestLog":true,"requestLogTemplate":"` + template + `"}`}, want},
		{"current, probes too", []string{knative.EnvObservabilityConfig, `{"enableRequestLog":true,"enableProbeRequestLog":true,"requestLogTemplate":"` + template + `"}`}, wantProbe + want},
		{"current, off", []string{knative.EnvObservabilityConfig, `{"enableRequestLog":false,"enableProbeRequestLog":true,"requestLogTemplate":"` + template + `"}`}, ""},
		{"classic", []string{knative.EnvEnableRequestLog, "true", knative.EnvRequestLogTemplate, template}, want},
		{"classic, probes too", []string{knative.EnvEnableRequestLog, "true", knative.EnvEnableProbeRequestLog, "true", knative.EnvRequestLogTemplate, template}, wantProbe + want},
		{"a template that can't be used", []string{knative.EnvObservabilityConfig, `{"enableRequestLog":true,"requestLogTemplate":"{{.Nobody"}`}, ""},
		{"the built-in template", []string{knative.EnvEnableRequestLog, "true"}, "{"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out outputs.Buffer
			t.Cleanup(func() { // after Main has ended
				got := out.String()
				if test.want == "{" && strings.HasPrefix(got, `{"httpRequest": {"requestMethod": "GET"`) && strings.Count(got, "\n") == 1 {
					return
				}
				if got != test.want {
					t.Errorf("got  %q\nwant %q", got, test.want)
				}
			})
			env := append([]string{knative.EnvServingService, "svc", knative.EnvServingConfiguration, "cfg"}, test.env...)
			url := startMain(t, startApp(t, http.HandlerFunc(ok)), env, WithStdout(&out))
			visit(t, url, "User-Agent", kubelet, knative.HeaderProbe, "queue")
			if strings.HasPrefix(test.want, wantProbe) { // the line is written after the response
				eventually(t, "the probe is logged", func() bool { return out.String() != "" })
			}
			visit(t, url, "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		})
	}
}
