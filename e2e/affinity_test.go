package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// keyed is a load of requests with keys, two of each key at a time, and all their answers.
type keyed struct {
	url  string
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	failed  []answer
	answers map[string][]visit // by key, in order of arrival at the client
}

// visit is a request as its app saw it.
type visit struct {
	at, pid         string
	entered, leaves int
}

const keysOfLoad = 12

func startKeyed(c *http.Client, url string) *keyed {
	k := &keyed{url: url, stop: make(chan struct{}), answers: map[string][]visit{}}
	for i := range 2 * keysOfLoad {
		k.wg.Go(func() { k.client(c, fmt.Sprint("key-", i/2)) })
	}
	return k
}

func (k *keyed) client(c *http.Client, key string) {
	for {
		select {
		case <-k.stop:
			return
		default:
		}
		r := request(http.MethodGet, k.url, "")
		r.Header.Set("X-Session", key)
		a := do(c, r)
		k.mu.Lock()
		if a.ok() {
			h := a.head
			k.answers[key] = append(k.answers[key], visit{h.Get("X-Revision"), h.Get("X-Pid"), atoi(h.Get("X-Entered-At")), atoi(h.Get("X-Answered-At"))})
		} else {
			k.failed = append(k.failed, a)
		}
		k.mu.Unlock()
	}
}

// last is the last answer of each key.
func (k *keyed) last() map[string]visit {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[string]visit{}
	for key, answers := range k.answers {
		all[key] = answers[len(answers)-1]
	}
	return all
}

// await waits until each key has had so many more answers for which is holds.
func (k *keyed) await(t testing.TB, what string, n int, is func(key string, v visit) bool) {
	t.Helper()
	k.mu.Lock()
	from := map[string]int{}
	for key, answers := range k.answers {
		from[key] = len(answers)
	}
	k.mu.Unlock()
	eventually(t, what, func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		for i := range keysOfLoad {
			key, have := fmt.Sprint("key-", i), 0
			for _, v := range k.answers[key][from[key]:] {
				if is(key, v) {
					have++
				}
			}
			if have < n {
				return false
			}
		}
		return true
	})
}

// takeTurns ends the load, and checks that no request of a key began before the one before it had ended, and that no more were
// lost than may be.
func (k *keyed) takeTurns(t testing.TB, lost int) {
	t.Helper()
	close(k.stop)
	k.wg.Wait()
	if len(k.failed) > lost {
		t.Errorf("%d requests failed, first %v", len(k.failed), k.failed[0])
	}
	n := 0
	for key, all := range k.answers {
		slices.SortFunc(all, func(a, b visit) int { return a.entered - b.entered })
		for i := range all[1:] {
			if before, v := all[i], all[i+1]; v.entered < before.leaves {
				t.Errorf("%s: one began %d ns before the one before it had ended: %v, %v", key, before.leaves-v.entered, before, v)
			}
		}
		n += len(all)
	}
	t.Logf("%d requests", n)
}

// away lists the answers of keys that were elsewhere than at home, but for those whose home is ex.
func (k *keyed) away(home map[string]visit, ex string) (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, h := range home {
		for _, v := range k.answers[key] {
			if h.at != ex && v.at != h.at {
				all = append(all, fmt.Sprint(key, " of ", h.at, " at ", v.at))
			}
		}
	}
	return all
}

func anywhere(string, visit) bool { return true }

// TestPeers41InOrderWhilePodsDieAndLeave: with strict order under load no two requests of a key are in progress at a time, none
// fails, and a pod that is killed or taken off the list moves only its own keys.
func TestPeers41InOrderWhilePodsDieAndLeave(t *testing.T) {
	t.Parallel()
	for name, clientOf := range loadClients {
		t.Run(name, func(t *testing.T) { inOrder(t, clientOf) })
	}
}

func inOrder(t *testing.T, clientOf func(testing.TB, string) *http.Client) {
	c := newCluster(t, "")
	pods := map[string]*pod{}
	for _, name := range []string{"one", "two", "three"} {
		pods[name] = c.pod(name)
		pods[name].startApp(c)
	}
	list := func(names ...string) {
		text := "revisions:\n- {namespace: default, name: rev, affinity: header=X-Session, affinityOrder: strict, pods: ["
		for _, name := range names { // the names decide who has which keys
			text += fmt.Sprintf("{id: %s, address: %q}, ", name, pods[name].addr)
		}
		c.write(text + "]}\n")
	}
	list("one", "two", "three")
	k := startKeyed(clientOf(t, c.addr), c.url("/sleep?d=2ms"))
	k.await(t, "all serve", 1, func(string, visit) bool {
		on := map[string]bool{}
		for _, answers := range k.answers {
			on[answers[len(answers)-1].at] = true
		}
		return len(on) == len(pods)
	})
	k.await(t, "they go on", 5, anywhere)
	home := k.last()
	atHome := func(key string, v visit) bool { return v.at == home[key].at }

	k.mu.Lock()
	clear(k.answers)
	k.mu.Unlock()
	dead, lost := pods["three"], 0
	for _, v := range home {
		if v.at == dead.name {
			lost++
		}
	}
	dead.qp.kill()
	k.await(t, "keys of a killed pod go on", 5, func(key string, v visit) bool { return v.at != dead.name })
	dead.startQueueProxy(c)
	k.await(t, "they come back", 5, atHome)
	if away := k.away(home, dead.name); away != nil {
		t.Errorf("keys moved when another's pod died: %q", away)
	}
	k.takeTurns(t, lost) // an answer that has begun can only be cut off

	k = startKeyed(clientOf(t, c.addr), k.url)
	k.await(t, "all keys are at home", 5, atHome)
	list("two", "three")
	k.await(t, "keys of a pod that left go on", 5, func(_ string, v visit) bool { return v.at != "one" })
	list("three", "one", "two")
	k.await(t, "they come back", 5, atHome)
	if away := k.away(home, "one"); away != nil {
		t.Errorf("keys moved when another's pod left: %q", away)
	}
	k.takeTurns(t, 0)
}

// TestPeers40SessionsWhileAReplicaRestarts: when the app of one of the quickstart's replicas is killed under load, the sessions of
// the others stay with their processes, and its own come back to the one that is started in its place.
func TestPeers40SessionsWhileAReplicaRestarts(t *testing.T) {
	t.Parallel()
	q := serve(t, service{annotations: map[string]string{
		"min-scale": "3", "max-scale": "3", "sluice.dev/affinity": "header=X-Session", "sluice.dev/affinity-order": "strict",
	}})
	c := q.client(2 * keysOfLoad)
	q.sees("replicas 3/3")
	k := startKeyed(c, q.url("app", "/sleep?d=2ms"))
	k.await(t, "requests are answered", 20, anywhere)
	before := k.last()
	var on []string
	for _, v := range before {
		on = append(on, v.pid)
	}
	victim, lost := on[0], 0
	for _, pid := range on {
		if pid == victim {
			lost++ // an app that is killed may have the request of each of its keys in progress
		}
	}
	_ = syscall.Kill(atoi(victim), syscall.SIGKILL)
	k.await(t, "all keys go on", 20, func(_ string, v visit) bool { return v.pid != victim })
	q.eventually("the killed app is replaced", func() bool { return len(q.apps()) == 3 })
	k.await(t, "its keys are with the new process", 1, func(key string, v visit) bool {
		return before[key].pid != victim && v.pid == before[key].pid || before[key].pid == victim && !slices.Contains(on, v.pid)
	})
	k.takeTurns(t, lost)
	for _, key := range slices.Sorted(maps.Keys(before)) {
		for _, v := range k.answers[key] {
			if home := before[key].pid; home != victim && v.pid != home && v.entered > before[key].entered {
				t.Errorf("%s of process %s was at %s", key, home, strconv.Quote(v.pid))
			}
		}
	}
}
