package activator_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/activator"
)

// newPods makes pods a, b, …, which answer with their names.
func newPods(t *testing.T, n int, app func(id string, w http.ResponseWriter, r *http.Request)) []*pod {
	var all []*pod
	for i := range n {
		id := string(rune('a' + i))
		all = append(all, newPod(t, id, 0, false, func(w http.ResponseWriter, r *http.Request) {
			if app != nil {
				app(id, w, r)
			}
			fmt.Fprint(w, id)
		}))
	}
	return all
}

func frontOf(t *testing.T, r activator.Revision, pods ...*pod) *front {
	t.Helper()
	f := newFront(t, activator.Config{})
	r.ID = hello
	f.UpdateRevision(r)
	f.UpdateEndpoints(hello, endpointsOf(pods...))
	f.awaitUsable(t, len(pods))
	return f
}

// What requests have in common sends them to one pod, and nothing else does.
func TestAffinityByWhat(t *testing.T) {
	t.Parallel()
	pods := newPods(t, 4, nil)
	for _, c := range []struct {
		by   string
		send func(f *front, key string, i int) answer
	}{
		{"header=X-Session", func(f *front, key string, i int) answer {
			return f.get("/"+strconv.Itoa(i), "X-Session", key)
		}},
		{"query=user", func(f *front, key string, i int) answer {
			return f.get("/" + strconv.Itoa(i) + "?i=" + strconv.Itoa(i) + "&us%65r=" + strings.ReplaceAll(key, "-", "%2d") + "&user=" + strconv.Itoa(i))
		}},
		{"path=2", func(f *front, key string, i int) answer {
			return f.get("/carts/" + key + "/" + strconv.Itoa(i) + "?x=" + strconv.Itoa(i))
		}},
	} {
		f := frontOf(t, activator.Revision{Affinity: c.by}, pods...)
		used := map[string]bool{}
		for k := range 20 {
			on := map[string]bool{}
			for i := range 4 {
				a := c.send(f, fmt.Sprint("key-", k), i)
				if !a.ok() {
					t.Fatal(a)
				}
				on[a.body], used[a.body] = true, true
			}
			if len(on) != 1 {
				t.Errorf("%s: key %d is on %v", c.by, k, on)
			}
		}
		if len(used) != 4 {
			t.Errorf("%s: the keys are on %v only", c.by, used)
		}
	}
}

// TestPeers40SessionsStayTogether: a client that keeps the activator's cookie stays with its pod, through any activator, and
// over a scale to zero of those around it; when a pod dies, its sessions alone move.
func TestPeers40SessionsStayTogether(t *testing.T) {
	t.Parallel()
	pods := newPods(t, 4, nil)
	key := []byte("a secret of the activators")
	var fronts []*front
	for range 2 {
		f := newFront(t, activator.Config{CookieKey: key})
		f.UpdateRevision(activator.Revision{ID: hello, Affinity: "cookie=sid"})
		f.UpdateEndpoints(hello, endpointsOf(pods...))
		f.awaitUsable(t, 4)
		fronts = append(fronts, f)
	}
	cookies, on := make([]string, 40), make([]string, 40)
	for i := range cookies {
		a := fronts[0].get("/", "Cookie", "sid=forged")
		set := a.header["Set-Cookie"]
		if !a.ok() || len(set) != 1 || !strings.HasPrefix(set[0], "sid=") || !strings.HasSuffix(set[0], "; Path=/; HttpOnly; SameSite=Lax") {
			t.Fatal(a, set)
		}
		cookies[i], _, _ = strings.Cut(set[0], ";")
		on[i] = a.body
	}
	stay := func(what string, except string) {
		t.Helper()
		for i, cookie := range cookies {
			a := fronts[i%2].get("/", "Cookie", "theme=dark; "+cookie)
			if !a.ok() || a.header.Get("Set-Cookie") != "" {
				t.Fatal(a, a.header)
			}
			if a.body != on[i] && on[i] != except || a.body == except {
				t.Errorf("%s: session %d is on %s, was on %s", what, i, a.body, on[i])
			}
		}
	}
	stay("through both activators", "")
	pods[2].kill()
	stay("without pod c", "c")
	for _, f := range fronts { // to zero
		f.UpdateEndpoints(hello, activator.Endpoints{})
		f.awaitUsable(t, 0)
		f.UpdateEndpoints(hello, endpointsOf(pods[0], pods[1], pods[3]))
		f.awaitUsable(t, 3)
	}
	stay("after a scale to zero", "c")
	for forged, kept := range map[int]bool{7: true, 5000: false} { // a head full of cookies costs no more than a few
		a := fronts[0].get("/", "Cookie", strings.Repeat("sid=forged; ", forged)+cookies[0])
		if !a.ok() || (a.header.Get("Set-Cookie") == "") != kept {
			t.Errorf("%d forged cookies: %v, %v", forged, a, a.header)
		}
	}
	if a := fronts[0].get("/", "Cookie", "sid=forged", "X-Forwarded-Proto", "https"); !strings.HasSuffix(a.header.Get("Set-Cookie"), "; Secure") {
		t.Error(a.header)
	}
}

// TestPeers41InOrder: with strict order, requests of a key reach the app one at a time and in order, those of other keys
// meanwhile, from zero too; and the key's epoch grows when it has moved.
func TestPeers41InOrder(t *testing.T) {
	t.Parallel()
	release, open := blocking()
	defer open()
	var mu sync.Mutex
	var order []string
	epochs := map[string]int64{} // the latest by pod
	begun := make(chan string, 100)
	pods := newPods(t, 2, func(id string, _ http.ResponseWriter, r *http.Request) {
		begun <- r.URL.Path
		if r.Header.Get("X-Key") == "slow" {
			<-release
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.Path)
		epoch, err := strconv.ParseInt(r.Header.Get("Sluice-Key-Epoch"), 10, 64)
		if err != nil || r.Header.Get("Sluice-Key") != "" {
			t.Error(err, r.Header)
		}
		epochs[id] = max(epochs[id], epoch)
	})
	f := frontOf(t, activator.Revision{Affinity: "header=X-Key", AffinityOrder: "strict"})
	const slow = 6
	var all sync.WaitGroup
	for i := range slow {
		all.Go(func() {
			if a := f.get("/slow/"+strconv.Itoa(i), "X-Key", "slow", "Sluice-Key-Epoch", "9999999999999999"); !a.ok() {
				t.Error(a)
			}
		})
		f.awaitWaiting(t, i+1)
	}
	f.UpdateEndpoints(hello, endpointsOf(pods...))
	f.awaitUsable(t, 2)
	<-begun
	for i := range 3 {
		if a := f.get("/fast", "X-Key", fmt.Sprint("fast-", i)); !a.ok() {
			t.Fatal(a)
		}
		<-begun
	}
	select {
	case path := <-begun:
		t.Fatal(path, "has begun beside another request of its key")
	case <-time.After(50 * time.Millisecond): // nothing may happen
	}
	open()
	all.Wait()
	mu.Lock()
	got := strings.Join(order, " ")
	mu.Unlock()
	if want := "/fast /fast /fast /slow/0 /slow/1 /slow/2 /slow/3 /slow/4 /slow/5"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	first := f.get("/", "X-Key", "moves")
	gone, left := pods[0], pods[1]
	if first.body == "b" {
		gone, left = left, gone
	}
	f.UpdateEndpoints(hello, endpointsOf(left))
	f.awaitUsable(t, 1)
	if second := f.get("/", "X-Key", "moves"); !second.ok() || second.body != left.id || epochs[left.id] <= epochs[gone.id] {
		t.Errorf("%v; epochs %v", second, epochs)
	}
}

// The field Sluice-Key names the key of a request to any revision.
func TestAffinityByBroker(t *testing.T) {
	t.Parallel()
	f := frontOf(t, activator.Revision{}, newPods(t, 4, nil)...)
	for k := range 8 {
		on := map[string]bool{}
		for range 4 {
			on[f.get("/", "Sluice-Key", fmt.Sprint("order-", k)).body] = true
		}
		if len(on) != 1 {
			t.Errorf("key %d is on %v", k, on)
		}
	}
	if a := f.get("/"); !a.ok() || a.header.Get("Set-Cookie") != "" {
		t.Error(a, a.header)
	}
}

// Events wait for their key's pod, whoever is free: while the pods are the same, a key that moves is one whose state is in the wrong place.
func TestPeers41EventsWaitForTheirPod(t *testing.T) {
	t.Parallel()
	release, open := blocking()
	defer open()
	begun := make(chan string, 100)
	pods := newPods(t, 2, func(_ string, _ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- r.URL.Path
			<-release
		}
	})
	f := frontOf(t, activator.Revision{Limit: 1}, pods...)
	var home string
	var same []string // keys of one pod
	for i := 0; len(same) < 4; i++ {
		key := fmt.Sprint("order-", i)
		if pod := f.get("/", "Sluice-Key", key).body; home == "" || pod == home {
			home, same = pod, append(same, key)
		}
	}
	var all sync.WaitGroup
	for i, key := range same {
		path := "/"
		if i == 0 {
			path = "/slow"
		}
		all.Go(func() {
			if a := f.get(path, "Sluice-Key", key); !a.ok() || a.body != home {
				t.Errorf("%s: %v, want %s", key, a, home)
			}
		})
		if i == 0 {
			<-begun
		} else {
			f.awaitWaiting(t, i)
		}
	}
	open()
	all.Wait()
}

func TestAffinityIsCountedAndItsFaultsAreSaid(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	reg := prometheus.NewRegistry()
	f := newLoggingFront(t, activator.Config{Registerer: reg}, zap.New(core))
	pods := newPods(t, 2, nil)
	f.UpdateRevision(activator.Revision{ID: hello, Affinity: "header=X-Session", Bypassed: true})
	f.UpdateEndpoints(hello, endpointsOf(pods...))
	f.awaitUsable(t, 2)
	for range 3 {
		f.get("/", "X-Session", "a")
	}
	for _, p := range pods {
		f.UpdateEndpoints(hello, endpointsOf(p))
		f.awaitUsable(t, 1)
		f.get("/", "X-Session", "a")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts, bypassed := map[string]float64{}, -1.0
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "sluice_affinity_requests_total":
				counts[m.GetLabel()[2].GetValue()] = m.GetCounter().GetValue()
			case "sluice_affinity_bypassed":
				bypassed = m.GetGauge().GetValue()
			}
		}
	}
	// The key was on a or on b: it moves when the other is left alone.
	if moved := counts["gone"]; moved < 1 || moved > 2 || counts["kept"] != 4-moved || counts["out"]+counts["full"]+counts["better"] != 0 || bypassed != 1 {
		t.Errorf("%v, bypassed %v", counts, bypassed)
	}
	f.UpdateRevision(activator.Revision{ID: hello, Affinity: "ip"})
	if n := len(logs.FilterMessageSnippet("unless target-burst-capacity is -1").All()); n != 1 {
		t.Errorf("the bypass was logged %d times", n)
	}
	if n := len(logs.FilterMessage("the affinity of a revision can't be used").All()); n != 1 {
		t.Errorf("the invalid value was logged %d times", n)
	}
}
