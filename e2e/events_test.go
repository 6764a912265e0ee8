package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	events      = flag.Int("events", 0, "how many events TestPeers42EventsWhileReplicasComeAndGo sends at least; 0: 20000, under the race detector 4000")
	concurrency = flag.Int("events-concurrency", 0, "containerConcurrency of the app that gets them")
)

const eventing = `---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: broker}
spec:
  delivery: {retry: 10, backoffPolicy: exponential, backoffDelay: PT0.2S}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: trigger, annotations: {sluice.dev/key: subject}}
spec:
  broker: broker
  subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: app}, uri: /event}
`

const (
	mostPods   = 8
	keptShare  = 0.999
	fewestKept = 100 // pairs of events without which the share means nothing
)

// TestPeers42EventsWhileReplicasComeAndGo: while replicas come, go and are killed, and the quickstart is killed once, all events that were
// acknowledged are delivered, those of a key in order, one at a time, and, with -events, by the same process as long as the set of pods is the same.
func TestPeers42EventsWhileReplicasComeAndGo(t *testing.T) {
	needProc(t)
	t.Parallel()
	n := *events
	switch {
	case n == 0 && raceEnabled:
		n = 4000
	case n == 0:
		n = 20_000
	}
	r := newEventRun(t, n)
	cycles := max(1, n/100_000)
	for i := range cycles {
		r.cycle(int64(n/cycles), i == 0)
	}
	r.senders.end()
	r.check()
}

// eventRun is a run of the test.
type eventRun struct {
	*quickstart
	pods     *readyPods
	journals *journals
	senders  *senders
	kills    map[int]int64 // processes that the test has ended, and when at the earliest
	killed   int
}

func newEventRun(t *testing.T, n int) *eventRun {
	q := newQuickstart(t)
	// While many wait, 100 events are in progress, as many as the broker sends at once; else one of each key.
	target := 4
	if *concurrency > 0 {
		target = min(target, *concurrency)
	}
	app := service{concurrency: *concurrency, annotations: map[string]string{
		"target": itoa(target), "max-scale": itoa(mostPods), "target-utilization-percentage": "100",
	}}
	q.writeText(app.yaml(q.dir) + eventing)
	q.start(fast...)
	r := &eventRun{quickstart: q, pods: q.followPods(t), journals: newJournals(q.dir), kills: map[int]int64{}}
	q.sees("app: ready")
	r.senders = startSenders(q, "http://"+q.addr()+"/default/broker", n, (3*target+1)/2)
	return r
}

// until waits until cond holds, and reads what the apps write meanwhile.
func (r *eventRun) until(what string, cond func() bool) {
	r.t.Helper()
	r.eventually(what, func() bool {
		r.journals.readOn(r.t)
		r.senders.delivered.Store(int64(r.journals.delivered))
		return cond()
	})
}

func (r *eventRun) caughtUp() bool {
	return int64(r.journals.delivered) >= r.senders.acknowledged.Load()
}

// cycle goes from no pod to mostPods, to two, and to none again, under kills, with n events and some more.
func (r *eventRun) cycle(n int64, killsAll bool) {
	began, had := time.Now(), r.senders.acknowledged.Load()
	r.senders.quota.Store(math.MaxInt64)
	r.senders.load.Store(manyEvents)
	r.until("as many pods as may be", func() bool { // fewer will do where the machine is too slow for so many
		pods := r.pods.count()
		return pods == mostPods || *events == 0 && pods >= 2 && r.senders.acknowledged.Load()-had >= n
	})
	n = max(n-(r.senders.acknowledged.Load()-had), n/2)
	r.senders.quota.Store(n)
	between := min(int(n)/4, 20_000)
	for next := r.journals.delivered + between; ; next = r.journals.delivered + between {
		r.until("events are delivered", func() bool { return r.journals.delivered >= next || r.senders.quota.Load() < 0 && r.caughtUp() })
		if r.journals.delivered < next {
			break
		}
		if killsAll {
			killsAll = false
			r.killQuickstart()
		} else {
			r.killOne()
		}
	}
	r.senders.load.Store(fewEvents)
	r.until("two pods at most", func() bool { pods := r.pods.count(); return pods == 1 || pods == 2 })
	for range 2 {
		next := r.journals.delivered + 300
		r.until("two pods go on", func() bool { return r.journals.delivered >= next })
		r.killOne()
	}
	r.senders.load.Store(noEvents)
	r.until("no event is left", r.caughtUp)
	r.until("no pod", func() bool { return r.pods.count() == 0 && len(r.processes()) == 1 })
	r.t.Logf("a cycle: %d events in %v", r.senders.acknowledged.Load()-had, time.Since(began).Round(time.Second))
}

// kinds are the processes of a pod, by how their command line begins.
var kinds = []string{"app", "queue-proxy", "app", "supervisor"}

// killOne kills a process of a pod that has begun to handle events.
func (r *eventRun) killOne() {
	kind := kinds[r.killed%len(kinds)]
	for _, p := range r.processes() {
		name, _, _ := strings.Cut(p.cmdline, " ")
		if strings.Contains(filepath.Base(name), kind) {
			r.killProcess(p.pid)
			return
		}
	}
}

// killProcess kills a process, and with it what ends because of that: what is below it, and the rest of its pod.
func (r *eventRun) killProcess(pid int) {
	with, above := []int{pid}, parent(pid)
	for _, p := range r.processes() {
		if up := parent(p.pid); up == pid || up == above || parent(up) == pid {
			with = append(with, p.pid)
		}
	}
	r.pods.changed()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for _, pid := range with {
		r.kills[pid] = monotonic()
	}
	r.killed++
	r.pods.changed()
}

// killQuickstart kills the quickstart while it acknowledges events, and starts another one.
func (r *eventRun) killQuickstart() {
	r.senders.behind.Add(1000)
	had := r.senders.acknowledged.Load()
	r.until("events are acknowledged", func() bool { return r.senders.acknowledged.Load() > had+100 })
	r.killProcess(r.pid())
	<-r.exited
	r.launch(exec.Command(filepath.Join(r.dir, "quickstart"), r.args(fast...)...))
	r.waitListening()
}

// check compares what was sent with what the apps have handled.
func (r *eventRun) check() {
	r.journals.readOn(r.t)
	for _, j := range r.journals.files { // the activator uses a pod as soon as it has passed a probe, which the API may show later
		r.pods.changes = append(r.pods.changes, j.first())
	}
	slices.Sort(r.pods.changes)
	var s eventSummary
	all := r.journals.byKey()
	for key, next := range r.senders.next {
		attempts := all[key]
		slices.SortFunc(attempts, func(a, b *attempt) int { return cmp.Compare(a.begin, b.begin) })
		s.sent += next
		for number := range next {
			if done := r.journals.handled[key]; number >= len(done) || !done[number] {
				s.lost.add("event %d of key %d", number, key)
			}
		}
		r.order(&s, attempts)
		r.overlaps(&s, attempts)
		r.kept(&s, attempts)
	}
	r.t.Logf("%d events of %d keys, %d times sent again; handled %d times (%d cut, %d killed) by %d processes; %d kills; %d repeated; "+
		"%d pairs while pods were the same, %d moved (%.4f %% kept); %d began while one whose client had gone went on",
		s.sent, len(r.senders.next), r.senders.again.Load(), s.attempts, s.cut, s.killed, len(r.journals.files), r.killed, s.repeated,
		s.pairs, s.moved.n, 100*(1-float64(s.moved.n)/float64(max(s.pairs, 1))), s.fenced)
	for what, f := range map[string]found{
		"were acknowledged and not delivered": s.lost, "came before those before them": s.reordered, "overlapped": s.overlapped,
		"have an older epoch than the one before": s.stale, "have no end, in a process that nobody killed": s.endless,
	} {
		if f.n > 0 {
			r.t.Errorf("%d events %s, first %q", f.n, what, f.first)
		}
	}
	// On a machine that is busy with other tests the API may tell late that the activator uses a pod, or has stopped to: then too few pairs are left
	// out. So the share is only held to in runs by hand. That keys stay is tested without a clock by the tests of row 40 and 41.
	if *events > 0 && (s.pairs < fewestKept || float64(s.moved.n) > float64(s.pairs)*(1-keptShare)) {
		r.t.Errorf("%d of %d pairs of events of a key moved although the pods were the same, first %q", s.moved.n, s.pairs, s.moved.first)
	}
}

type eventSummary struct {
	sent, attempts, cut, killed, repeated, pairs, fenced int

	lost, reordered, overlapped, stale, endless, moved found
}

// found are things that should not be there.
type found struct {
	n     int
	first []string
}

func (f *found) add(format string, args ...any) {
	if f.n++; f.n <= 5 {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}

// order checks that an event began only when the one before it had been handled; events that come again are ignored.
func (r *eventRun) order(s *eventSummary, attempts []*attempt) {
	begun, epoch := -1, int64(0)
	handled := map[int]int64{} // by number, when it had been first
	for _, a := range attempts {
		s.attempts++
		if a.number <= begun {
			s.repeated++
		} else {
			if end, ok := handled[a.number-1]; a.number != begun+1 || a.number > 0 && (!ok || end > a.begin) {
				s.reordered.add("%+v after number %d", *a, begun)
			}
			begun = a.number
		}
		if end, ok := handled[a.number]; a.ok() && (!ok || a.end < end) {
			handled[a.number] = a.end
		}
		if a.epoch < epoch {
			s.stale.add("%+v, before %d", *a, epoch)
		}
		epoch = max(epoch, a.epoch)
	}
}

// overlaps checks that no event began while another one was being handled. It may if the other's client had gone, as a proxy that was killed:
// HTTP doesn't tell an app at once. Then the epoch is a newer one, unless it is the same process.
func (r *eventRun) overlaps(s *eventSummary, attempts []*attempt) {
	var last *attempt // of those so far, the one that ends last
	end := int64(0)
	for _, a := range attempts {
		if last != nil && a.begin < end {
			if last.cut && (a.epoch > last.epoch || a.pid == last.pid) {
				s.fenced++
			} else {
				s.overlapped.add("%+v during %+v", *a, *last)
			}
		}
		ends := a.end
		if a.cut {
			s.cut++
		}
		if ends == 0 {
			s.killed++
			killed, ok := r.kills[a.pid]
			if !ok {
				s.endless.add("%+v", *a)
			}
			ends = killed
		}
		if ends > end {
			last, end = a, ends
		}
	}
}

// kept counts the events that came to the same process as the one before while the pods were the same.
func (r *eventRun) kept(s *eventSummary, attempts []*attempt) {
	var last *attempt
	for _, a := range attempts {
		if !a.ok() {
			continue
		}
		if last != nil && r.pods.stable(last.begin, a.end) {
			s.pairs++
			if a.pid != last.pid {
				s.moved.add("%+v, before %+v", *a, *last)
			}
		}
		last = a
	}
}
