package activator_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// identities says whose a token "namespace/uid" is; "away" is an API server that can't be asked.
func identities(_ context.Context, token string) (activator.PodIdentity, error) {
	namespace, uid, ok := strings.Cut(token, "/")
	switch {
	case token == "away":
		return activator.PodIdentity{}, errors.New("no answer")
	case !ok:
		return activator.PodIdentity{}, fmt.Errorf("%w: forged", activator.ErrUnproven)
	}
	return activator.PodIdentity{Namespace: namespace, Name: "pod", UID: uid}, nil
}

// announce sends an announcement from an IP and returns the status of the answer.
func announce(t *testing.T, to, from string, a knative.Announcement) int {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", strings.TrimPrefix(to, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if err := a.Write(c, "activator"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func announcementOf(p *pod, token string) knative.Announcement {
	return knative.Announcement{Namespace: hello.Namespace, Revision: hello.Name, Addr: netip.MustParseAddrPort(p.addr), Token: token}
}

// A pod that tells of itself is used before Kubernetes has listed it, and is one pod with the one that is listed later.
func TestPeers30AnAnnouncedPodIsUsedAtOnce(t *testing.T) {
	f := newFront(t, activator.Config{PodIP: "127.0.0.1", Identify: identities})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	p := newPod(t, "uid-1", 1, false, nil)
	waiting := make(chan answer, 1)
	go func() { waiting <- f.get("/") }()
	f.awaitWaiting(t, 1)
	if status := announce(t, f.url, "127.0.0.1", announcementOf(p, "default/uid-1")); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	if a := <-waiting; !a.ok() {
		t.Fatal(a)
	}
	f.UpdateEndpoints(hello, activator.Endpoints{}) // news from before it was started
	f.awaitUsable(t, 1)
	f.UpdateEndpoints(hello, endpointsOf(p))
	f.awaitUsable(t, 1)
	f.UpdateEndpoints(hello, activator.Endpoints{})
	f.awaitUsable(t, 0) // once listed, it is gone when it isn't any more
}

func TestWhoIsNotHeard(t *testing.T) {
	f := newFront(t, activator.Config{PodIP: "127.0.0.1", Identify: identities})
	f.UpdateRevision(activator.Revision{ID: hello})
	p := newPod(t, "uid-1", 0, false, nil)
	good := announcementOf(p, "default/uid-1")
	with := func(change func(*knative.Announcement)) knative.Announcement {
		a := good
		change(&a)
		return a
	}
	for _, c := range []struct {
		name string
		said knative.Announcement
		want int
	}{
		{"a forged token", with(func(a *knative.Announcement) { a.Token = "forged" }), http.StatusForbidden},
		{"a pod of another namespace", with(func(a *knative.Announcement) { a.Token = "other/uid-1" }), http.StatusForbidden},
		{"somebody else's address", with(func(a *knative.Announcement) { a.Addr = netip.MustParseAddrPort("127.0.0.9:1") }), http.StatusForbidden},
		{"an unknown revision", with(func(a *knative.Announcement) { a.Revision = "other" }), http.StatusNotFound},
		{"no token", with(func(a *knative.Announcement) { a.Token = "" }), http.StatusBadRequest},
		{"while the API server is away", with(func(a *knative.Announcement) { a.Token = "away" }), http.StatusServiceUnavailable},
	} {
		if got := announce(t, f.url, "127.0.0.1", c.said); got != c.want {
			t.Errorf("%s: status %d, want %d", c.name, got, c.want)
		}
	}
	deaf := newFront(t, activator.Config{})
	deaf.UpdateRevision(activator.Revision{ID: hello})
	if got := announce(t, deaf.url, "127.0.0.1", good); got != http.StatusBadRequest {
		t.Errorf("without Identify: status %d", got)
	}
	for _, f := range []*front{f, deaf} {
		if s, _ := f.Stats(hello); s.Pods != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// One that sends what costs the API server a question each time isn't heard for a while; others are.
func TestAFloodOfAnnouncementsCostsTheAPIServerLittle(t *testing.T) {
	var asked atomic.Int64
	f := newFront(t, activator.Config{PodIP: "127.0.0.1", Identify: func(ctx context.Context, token string) (activator.PodIdentity, error) {
		asked.Add(1)
		return identities(ctx, token)
	}})
	f.UpdateRevision(activator.Revision{ID: hello})
	p := newPod(t, "uid-1", 0, false, nil)
	began := time.Now()
	const n = 300
	refused := 0
	for i := range n {
		if announce(t, f.url, "127.0.0.1", announcementOf(p, fmt.Sprint("forged-", i))) == http.StatusServiceUnavailable {
			refused++
		}
	}
	if periods := int64(time.Since(began)/time.Second) + 1; asked.Load() > 8*periods || refused != n-int(asked.Load()) {
		t.Errorf("%d of %d were refused, %d identified", refused, n, asked.Load())
	}
	other := announcementOf(p, "default/uid-2")
	other.Addr = netip.MustParseAddrPort("127.0.0.2:1")
	if status := announce(t, f.url, "127.0.0.2", other); status != http.StatusNoContent {
		t.Errorf("another pod: status %d", status)
	}
}

// The API server is asked once for the announcements of a pod that come within seconds, and once for a forged token.
func TestC10TheSameTokenIsReviewedOnce(t *testing.T) {
	var asked atomic.Int64
	f := newFront(t, activator.Config{PodIP: "127.0.0.1", Identify: func(ctx context.Context, token string) (activator.PodIdentity, error) {
		asked.Add(1)
		return identities(ctx, token)
	}})
	f.UpdateRevision(activator.Revision{ID: hello})
	p := newPod(t, "uid-1", 0, false, nil)
	for token, want := range map[string]int{"default/uid-1": http.StatusNoContent, "forged": http.StatusForbidden} {
		began, before := time.Now(), asked.Load()
		for range 50 {
			if got := announce(t, f.url, "127.0.0.1", announcementOf(p, token)); got != want {
				t.Errorf("%s: status %d, want %d", token, got, want)
			}
		}
		if n := asked.Load() - before; n > 1+int64(time.Since(began)/(2*time.Second)) {
			t.Errorf("%s: the API server was asked %d times", token, n)
		}
	}
}

// Nobody is believed who names an address that can be no pod's: the activator would probe itself, or its node. Loopback is
// for an activator that is there itself.
func TestC10SpecialAddressesAreNotHeard(t *testing.T) {
	asked := func(context.Context, string) (activator.PodIdentity, error) {
		t.Error("the API server is asked")
		return activator.PodIdentity{}, errors.New("no answer")
	}
	f := newFront(t, activator.Config{PodIP: "10.0.0.1", Identify: asked})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdatePeers(hello, []string{"10.0.0.1", "127.0.0.1"}) // who passes on what others say
	for _, addr := range []string{
		"127.0.0.1:8012", "[::1]:8012", "[::ffff:127.0.0.1]:8012", "169.254.169.254:80", "[fe80::1]:80", "224.0.0.1:80", "[ff02::1]:80", "0.0.0.0:80", "[::]:80",
	} {
		said := knative.Announcement{Namespace: hello.Namespace, Revision: hello.Name, Addr: netip.MustParseAddrPort(addr), Token: "default/uid-1"}
		if got := announce(t, f.url, "127.0.0.1", said); got != http.StatusForbidden {
			t.Errorf("%s: status %d", addr, got)
		}
	}
	if s, _ := f.Stats(hello); s.Pods != 0 {
		t.Errorf("%+v", s)
	}
}

// A pod whose readiness Kubernetes alone can tell is not used for what it says.
func TestAnAnnouncementIsNoWayRoundNoEarlyUse(t *testing.T) {
	f := newFront(t, activator.Config{PodIP: "127.0.0.1", Identify: identities})
	f.UpdateRevision(activator.Revision{ID: hello, NoEarlyUse: true})
	p := newPod(t, "uid-1", 0, false, nil)
	if status := announce(t, f.url, "127.0.0.1", announcementOf(p, "default/uid-1")); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	f.UpdateEndpoints(hello, activator.Endpoints{NotReady: []activator.Endpoint{p.endpoint()}})
	if s, _ := f.Stats(hello); s.Usable != 0 {
		t.Errorf("%+v", s)
	}
}

// The activator that a pod has told tells those in the revision's path, who believe it and nobody else.
func TestAnnouncementsAreRelayed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("127.0.0.2 is not an address of this machine")
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	var identified atomic.Int64
	second := newFront(t, activator.Config{PodIP: "127.0.0.2", PeerPort: n, Identify: func(ctx context.Context, token string) (activator.PodIdentity, error) {
		identified.Add(1)
		return identities(ctx, token)
	}})
	relayed := &http.Server{Handler: second.Handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- relayed.Serve(l) }()
	t.Cleanup(func() { relayed.Close(); <-served })
	first := newFront(t, activator.Config{PodIP: "127.0.0.1", PeerPort: n, Identify: identities})
	p := newPod(t, "uid-1", 0, false, nil)
	p.kill()
	p.listen(t, "127.0.0.3:0")
	for _, f := range []*front{first, second} {
		f.UpdateRevision(activator.Revision{ID: hello})
		f.UpdatePeers(hello, []string{"127.0.0.1", "127.0.0.2"})
	}
	if status := announce(t, "http://"+l.Addr().String(), "127.0.0.4", announcementOf(p, "default/uid-1")); status != http.StatusForbidden {
		t.Errorf("from a stranger: status %d", status)
	}
	if status := announce(t, first.url, "127.0.0.3", announcementOf(p, "default/uid-1")); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	first.awaitUsable(t, 1)
	second.awaitUsable(t, 1)
	if n := identified.Load(); n != 1 {
		t.Errorf("the second activator asked for an identity %d times", n)
	}
}

// The two programs speak with each other as they do with these tests.
func TestARealQueueProxyAnnouncesItself(t *testing.T) {
	f := newFront(t, activator.Config{PodIP: "127.0.0.1", Identify: identities})
	f.UpdateRevision(activator.Revision{ID: hello})
	app := newPod(t, "app", 0, false, nil)
	q, err := queueproxy.New(queueproxy.Config{
		UserAddr:   app.addr,
		Addrs:      queueproxy.Addrs{Serve: "127.0.0.1:0", Admin: queueproxy.Off, Stats: queueproxy.Off},
		Identity:   queueproxy.Identity{Namespace: hello.Namespace, Revision: hello.Name, PodIP: "127.0.0.1"},
		Announce:   queueproxy.Announce{Activators: strings.TrimPrefix(f.url, "http://"), TokenFile: tokenFile(t, "default/uid-1")},
		DrainQuiet: time.Millisecond,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- q.Run(ctx) }()
	if a := f.get("/"); !a.ok() || a.body != "app\n" {
		t.Error(a)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sluice")
	if err := os.WriteFile(name, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
