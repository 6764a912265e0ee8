package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

func TestBinariesHoldARequestUntilTheAppIsUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	held := make(chan answer, 1)
	client := clientOf(t, c.addr, 1)
	go func() { held <- get(client, c.url("/headers")) }()
	p := c.pod("one")
	c.pods("", p)
	eventually(t, "the activator probes the pod", func() bool { return probed(p) })
	select {
	case a := <-held:
		t.Fatalf("answered without an app: %v", a)
	default:
	}
	p.startApp(c)
	a := <-held
	if !a.ok() {
		t.Fatal(a)
	}
	for _, want := range []string{`"Host":"rev.default.svc.cluster.local"`, `"K-Proxy-Request":["activator"]`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the app got %s, want %s", a.body, want)
		}
	}
	for _, internal := range []string{"Knative-Serving-", "K-Original-Host", "Sluice-", "K-Network-"} {
		if strings.Contains(a.body, internal) {
			t.Errorf("the app got a field %s…: %s", internal, a.body)
		}
	}
	if listened := a.head.Get("X-Listen-At"); listened == "" {
		t.Errorf("not the app's answer: %v", a)
	}
}

// probed reports whether the pod's queue-proxy has a connection, which only the activator opens.
func probed(p *pod) bool { return connectedTo(p.addr) }

// A pod is replaced under load in the order of Kubernetes: the new pod becomes ready, the old one leaves the endpoints, its
// queue-proxy gets SIGTERM, drains and ends, and then its app ends.
func TestBinariesReplaceAPodUnderLoad(t *testing.T) {
	for name, clientOf := range loadClients {
		t.Run(name, func(t *testing.T) { replacePod(t, clientOf) })
	}
}

// loadClients make a client of each protocol.
var loadClients = map[string]func(t testing.TB, addr string) *http.Client{
	"HTTP/1.1": func(t testing.TB, addr string) *http.Client { return clientOf(t, addr, loadConns) },
	"h2c":      h2cClientOf,
}

func replacePod(t *testing.T, clientOf func(testing.TB, string) *http.Client) {
	c := newCluster(t, "")
	first, second := c.pod("first"), c.pod("second")
	first.startApp(c)
	c.pods("", first)
	l := startLoad(clientOf(t, c.addr), c.url("/sleep?d=5ms"))
	eventually(t, "the first pod serves", func() bool { return l.served("first") > aLoad })
	second.startApp(c)
	eventually(t, "the second app listens", func() bool { return listens("127.0.0.1:" + itoa(second.appPort)) })
	c.pods("", second)
	eventually(t, "the second pod serves", func() bool { return l.served("second") > 0 })
	terminate(t, first.qp)
	terminate(t, first.app)
	at := l.served("second")
	eventually(t, "the second pod serves on", func() bool { return l.served("second") > at+aLoad })
	l.end(t)
	l.within(t, podLimit)
}

// terminate ends a process with SIGTERM, as Kubernetes does, and checks its exit code.
func terminate(t testing.TB, d *daemon) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := d.wait().ExitCode(); code != 0 {
		t.Errorf("exit code %d of %v after SIGTERM", code, d.cmd.Args)
	}
}

// The app is started again two seconds after it died. No kubelet reports that, and requests wait for the app.
func TestBinariesAppDiesMidBurst(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	p := c.pod("one")
	p.startApp(c)
	c.pods("", p)
	client := clientOf(t, c.addr, 100)
	mustGet(t, client, c.url("/"))
	back := make(chan struct{})
	go func(first *daemon) {
		defer close(back)
		<-first.exited
		time.Sleep(2 * time.Second)
		p.startApp(c)
	}(p.app)
	dieMidBurst(t, client, c.url)
	<-back
}

// Requests in flight when the activator gets SIGTERM are answered, and new ones are served during the drain period.
func TestBinariesActivatorEndsUnderLoad(t *testing.T) {
	for name, clientOf := range loadClients {
		t.Run(name, func(t *testing.T) { endActivator(t, clientOf) })
	}
}

func endActivator(t *testing.T, loadClient func(testing.TB, string) *http.Client) {
	const drain = 8 * time.Second
	c := newCluster(t, "", "-drain", drain.String())
	p := c.pod("one")
	p.startApp(c)
	c.pods("", p)
	client := clientOf(t, c.addr, 1)
	mustGet(t, client, c.url("/"))

	long := make(chan answer, 1)
	go func() { long <- get(client, c.url("/sleep?d=10s")) }()
	l := startLoad(loadClient(t, c.addr), c.url("/"))
	eventually(t, "the load is on", func() bool { return l.served("one") > aLoad })
	began := time.Now()
	if err := c.activator.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	probe := request("GET", c.url("/"), "")
	probe.Header.Set("User-Agent", "kube-probe/1.34")
	eventually(t, "the kubelet's probe fails", func() bool {
		return do(client, probe).status == http.StatusInternalServerError
	})
	at := l.served("one")
	eventually(t, "it serves on", func() bool { return l.served("one") > at+aLoad })
	l.end(t) // before the end of the drain period, as if the load balancer had removed the activator
	if a := <-long; !a.ok() {
		t.Errorf("the request in flight: %v", a)
	}
	if code := c.activator.wait().ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if d := time.Since(began); d < drain {
		t.Errorf("ended after %v", d)
	}
}

func TestBinariesReportToTheAutoscaler(t *testing.T) {
	t.Parallel()
	as := newAutoscaler(t)
	c := newCluster(t, "", "-autoscaler", as.url)
	client := clientOf(t, c.addr, 10)
	held := make(chan answer, 1)
	began := time.Now()
	go func() { held <- get(client, c.url("/")) }()
	eventually(t, "the first request is reported", func() bool { return as.last().GetAverageConcurrentRequests() == 1 })
	t.Logf("reported after %v", time.Since(began))
	p := c.pod("one")
	p.startApp(c)
	c.pods("", p)
	if a := <-held; !a.ok() {
		t.Fatal(a)
	}
	for _, a := range burst(100, func(int) answer { return get(client, c.url("/sleep?d=10ms")) }) {
		if !a.ok() {
			t.Fatal(a)
		}
	}
	eventually(t, "all requests are reported", func() bool { return as.requests() > 100.5 })
	eventually(t, "then nothing", func() bool { return as.last().GetAverageConcurrentRequests() == 0 })
	if n := as.requests(); n < 100.9 || n > 101.1 {
		t.Errorf("%v requests reported, 101 made", n)
	}
}

// autoscaler receives the reports of activators, as Knative's does.
type autoscaler struct {
	url   string
	mu    sync.Mutex
	stats []*statpb.Stat
}

func newAutoscaler(t testing.TB) *autoscaler {
	as := &autoscaler{}
	ctx, cancel := context.WithCancel(context.Background())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { as.receive(ctx, w, r) }))
	as.url = "ws" + strings.TrimPrefix(s.URL, "http")
	t.Cleanup(func() {
		cancel()
		s.Close()
	})
	return as
}

func (as *autoscaler) receive(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var m statpb.WireStatMessages
		if kind != websocket.MessageBinary || proto.Unmarshal(data, &m) != nil {
			continue // the test fails without it
		}
		as.mu.Lock()
		for _, one := range m.GetMessages() {
			if one.GetNamespace() == "default" && one.GetName() == "rev" {
				as.stats = append(as.stats, one.GetStat())
			}
		}
		as.mu.Unlock()
	}
}

// last returns the newest report of the revision, or nil before the first.
func (as *autoscaler) last() *statpb.Stat {
	as.mu.Lock()
	defer as.mu.Unlock()
	if len(as.stats) == 0 {
		return nil
	}
	return as.stats[len(as.stats)-1]
}

// requests returns the number of requests in all reports.
func (as *autoscaler) requests() (n float64) {
	as.mu.Lock()
	defer as.mu.Unlock()
	for _, s := range as.stats {
		n += s.GetRequestCount()
	}
	return n
}
