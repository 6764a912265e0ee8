package queueproxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
)

var podAddr = netip.MustParseAddrPort("10.0.0.7:8012")

// announcer returns a queue-proxy with the address of its activators, and the file of its token.
func announcer(t *testing.T, activators string) (p *Proxy, tokenFile string) {
	t.Helper()
	tokenFile = filepath.Join(t.TempDir(), "sluice")
	if err := os.WriteFile(tokenFile, []byte("a.b.c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{
		UserAddr: "127.0.0.1:1", Announce: Announce{Activators: activators, TokenFile: tokenFile},
		Identity: Identity{Namespace: "default", Revision: "hello-00001", PodIP: "10.0.0.7"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, tokenFile
}

// activators answers announcements with one status after the other, the last one for ever, and counts them.
func activators(t *testing.T, statuses ...int) (addr string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := knative.ParseAnnouncement(r.Header.Get)
		if want := (knative.Announcement{Namespace: "default", Revision: "hello-00001", Addr: podAddr, Token: "a.b.c"}); err != nil || a != want {
			t.Errorf("%+v, %v", a, err)
		}
		n := int(asked.Add(1))
		w.WriteHeader(statuses[min(n, len(statuses))-1])
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), asked
}

func TestAnnouncedUntilUnderstood(t *testing.T) {
	for _, c := range []struct {
		name     string
		statuses []int
		asked    int64
	}{
		{"at once", []int{204}, 1},
		{"by one that is busy or doesn't know the revision yet", []int{503, 404, 503, 204}, 4},
		{"not by Knative's own activator", []int{400}, 1},
		{"not by one that doesn't believe it", []int{403}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, asked := activators(t, c.statuses...)
			p, _ := announcer(t, addr)
			p.announce(t.Context(), podAddr)
			if n := asked.Load(); n != c.asked {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
		})
	}
}

// Without a server, without a response or without a token it retries until its context ends.
func TestAnAnnouncementInVainEndsWithTheProxy(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	for name, addr := range map[string]string{"no server": "127.0.0.1:1", "no response": silent.Listener.Addr().String(), "no token": silent.Listener.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			p, file := announcer(t, addr)
			if name == "no token" {
				_ = os.Remove(file)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			ended := make(chan struct{})
			go func() { defer close(ended); p.announce(ctx, podAddr) }()
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Fatal("it didn't end with its context")
			}
		})
	}
}

func TestRunAnnouncesThePod(t *testing.T) {
	announced := make(chan knative.Announcement, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, _ := knative.ParseAnnouncement(r.Header.Get)
		announced <- a
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	p, _ := announcer(t, s.Listener.Addr().String())
	p.config.Addrs = Addrs{Serve: "127.0.0.1:0", Admin: Off, Stats: Off, Metrics: Off}
	p.policy.drain.quiet = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	select {
	case a := <-announced:
		if !strings.HasSuffix(p.Addrs().Serve, a.Addr.String()[strings.LastIndex(a.Addr.String(), ":"):]) || a.Addr.Addr() != podAddr.Addr() {
			t.Errorf("announced %v, serves on %s", a.Addr, p.Addrs().Serve)
		}
	case <-time.After(time.Minute):
		t.Error("not announced")
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
