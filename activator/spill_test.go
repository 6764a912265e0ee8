package activator_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
)

// TestPeers3SpillOver: two activators share two pods of limit 1. Each may use the other's pod while it is idle; when
// both are full, requests wait in their place and none fails, whatever a pod answers to what spilled over to it.
func TestPeers3SpillOver(t *testing.T) {
	t.Parallel()
	peers := []string{"10.0.0.1", "10.0.0.2"}
	app := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Sluice-No-Queue") != "" {
			w.Header().Set("Lent", "yes")
		}
		time.Sleep(2 * time.Millisecond)
	}
	pods := []*pod{newPod(t, "a", 1, false, app), newPod(t, "b", 1, false, app)}
	var fronts []*front
	for _, ip := range peers {
		f := newFront(t, activator.Config{PodIP: ip})
		f.UpdatePeers(hello, peers)
		f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
		f.UpdateEndpoints(hello, endpointsOf(pods...))
		f.awaitUsable(t, 2)
		fronts = append(fronts, f)
	}

	spilled := 0
	for _, a := range together(2, func(int) answer { return fronts[0].get("/") }) {
		if !a.ok() {
			t.Fatal(a)
		}
		if a.header.Get("Lent") != "" {
			spilled++
		}
	}
	if spilled > 1 {
		t.Errorf("%d of 2 requests spilled over", spilled)
	}

	for _, a := range together(64, func(i int) (a answer) {
		for range 20 {
			if a = fronts[i%2].do(http.MethodPost, "/", []byte("body")); !a.ok() {
				break
			}
			if a.header.Get("Sluice-Not-Processed") != "" {
				t.Error("Sluice-Not-Processed reached a client")
			}
		}
		return a
	}) {
		if !a.ok() {
			t.Fatal(a)
		}
	}
	for _, p := range pods {
		t.Logf("%s: served %d, refused %d", p.id, p.served.Load(), p.refused.Load())
		if p.most.Load() > 1 {
			t.Errorf("%s had %d at a time", p.id, p.most.Load())
		}
	}
}

// sharer is which of the activators 10.0.0.1 and 10.0.0.2 has the one of two pods as its share.
func sharer(own, remote string) string {
	if own < remote {
		return "10.0.0.1"
	}
	return "10.0.0.2"
}

// TestPeers3NeverWaitsBesideAnIdlePod: while the own pod is taken for long, the other activator's idle pod serves.
func TestPeers3NeverWaitsBesideAnIdlePod(t *testing.T) {
	release, unblock := blocking()
	defer unblock()
	slow := newPod(t, "a", 1, false, func(_ http.ResponseWriter, r *http.Request) { <-release })
	idle := newPod(t, "b", 1, false, nil)
	f := newFront(t, activator.Config{PodIP: sharer(slow.addr, idle.addr)})
	f.UpdatePeers(hello, []string{"10.0.0.1", "10.0.0.2"})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	f.UpdateEndpoints(hello, endpointsOf(slow, idle))
	f.awaitUsable(t, 2)
	first := make(chan answer)
	go func() { first <- f.get("/") }()
	await(t, "the own pod to be taken", func() bool { return slow.inFlight.Load() == 1 })
	for range 20 {
		if a := f.get("/"); !a.ok() || a.body != "b\n" {
			t.Fatal(a)
		}
	}
	unblock()
	if a := <-first; !a.ok() {
		t.Error(a)
	}
}

// TestPeers3LargeBodies: a body that can't be held is not lost on a remote pod that declines the request, in either
// protocol.
func TestPeers3LargeBodies(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", http2), func(t *testing.T) { largeBody(t, http2) })
	}
}

func largeBody(t *testing.T, http2 bool) {
	release, unblock := blocking()
	defer unblock()
	app := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/block" {
			<-release
		}
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Got", strconv.FormatInt(n, 10))
	}
	own, remote := newPod(t, "a", 1, false, app), newPod(t, "b", 1, false, app)
	f := newFront(t, activator.Config{PodIP: sharer(own.addr, remote.addr)})
	f.client.Transport.(*http.Transport).Protocols = only(http2)
	f.UpdatePeers(hello, []string{"10.0.0.1", "10.0.0.2"})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	f.UpdateEndpoints(hello, endpointsOf(own, remote))
	f.awaitUsable(t, 2)
	blocked := make(chan answer)
	go func() { blocked <- f.get("/block") }()
	await(t, "the own pod to be taken", func() bool { return own.inFlight.Load() == 1 })
	// The other pod is taken by somebody else, of which the activator knows nothing.
	direct := &front{url: "http://" + remote.addr, client: f.client}
	go func() { blocked <- direct.get("/block") }()
	await(t, "the remote pod to be taken", func() bool { return remote.inFlight.Load() == 1 })

	upload := make(chan answer)
	go func() { upload <- f.upload(1 << 20) }()
	await(t, "the remote pod to decline", func() bool { return remote.refused.Load() > 0 })
	f.awaitWaiting(t, 1)
	unblock()
	if a := <-upload; !a.ok() || a.header.Get("Got") != "1048576" {
		t.Errorf("%v, got %s bytes", a, a.header.Get("Got"))
	}
	<-blocked
	<-blocked
}
