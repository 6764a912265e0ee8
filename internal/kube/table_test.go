package kube

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/throttler"
	"pgregory.net/rapid"
)

// After any events in any order the sink has the state of the table.
func TestTableTellsWhatIsKnown(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tb, rec := newTable(), newRecorder(t)
		tl := &publisher{table: tb, sink: rec, index: map[string]int{}}
		known := [kinds]map[name]item{{}, {}, {}}
		publish := func() {
			for _, c := range tb.take(nil) {
				tl.publish(&c)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k, it := drawItem(rt)
				tb.put(k, it)
				known[k][it.at()] = it
			},
			"remove": func(rt *rapid.T) {
				k, it := drawItem(rt)
				tb.remove(k, it.at())
				delete(known[k], it.at())
			},
			"replace": func(rt *rapid.T) {
				k, it := drawItem(rt)
				all := map[name]item{it.at(): it}
				for range rapid.IntRange(0, 5).Draw(rt, "more") {
					if k2, it := drawItem(rt); k2 == k {
						all[it.at()] = it
					}
				}
				list := []item{}
				for _, it := range all {
					list = append(list, it)
				}
				tb.replace(k, list)
				known[k] = all
			},
			"publish": func(*rapid.T) { publish() },
			"": func(rt *rapid.T) {
				if rapid.Bool().Draw(rt, "look") {
					publish()
					if want := stateOf(known); !reflect.DeepEqual(rec.state, want) {
						rt.Fatalf("published %+v\nwant %+v", rec.state, want)
					}
				}
			},
		})
		publish()
		for k := range kinds {
			tb.replace(k, nil)
		}
		publish()
		if len(rec.state) != 0 || len(tb.entries) != 0 {
			rt.Fatalf("left: %+v %+v", rec.state, tb.entries)
		}
	})
}

func drawItem(rt *rapid.T) (kind, item) {
	k := rapid.SampledFrom([]kind{revisions, services, endpoints}).Draw(rt, "kind")
	rev := rapid.SampledFrom([]string{"r", "s"}).Draw(rt, "revision")
	id := throttler.RevisionID{Namespace: "ns", Name: rev}
	n := rapid.IntRange(0, 2).Draw(rt, "value")
	switch k {
	case revisions:
		return k, &revision{name{"ns", rev}, activator.Revision{ID: id, Limit: n}}
	case services:
		return k, &service{name{"ns", rev + "-private"}, id, fmt.Sprintf("10.96.0.%d", n)}
	}
	l := &list{name: name{"ns", fmt.Sprintf("list-%d", rapid.IntRange(0, 3).Draw(rt, "list"))}, of: id, public: rapid.Bool().Draw(rt, "public")}
	for i := range n {
		addr := fmt.Sprintf("10.0.0.%d", rapid.IntRange(1, 4).Draw(rt, fmt.Sprint("pod ", i)))
		l.endpoints = append(l.endpoints, endpoint{activator.Endpoint{ID: addr, Addr: addr}, true})
	}
	return k, l
}

// stateOf says, the long way, what a sink has to know.
func stateOf(known [kinds]map[name]item) map[throttler.RevisionID]published {
	state := map[throttler.RevisionID]published{}
	update := func(id throttler.RevisionID, f func(*published)) {
		s := state[id]
		f(&s)
		if !reflect.ValueOf(s).IsZero() {
			state[id] = s
		}
	}
	for _, it := range known[revisions] {
		r := it.(*revision).Revision
		update(r.ID, func(s *published) { s.revision = &r })
	}
	for _, it := range known[services] {
		v := it.(*service)
		update(v.of, func(s *published) { s.endpoints.Service, s.endpoints.ClusterIP = v.name.name, v.clusterIP+":80" })
	}
	var all []*list
	for _, it := range known[endpoints] {
		all = append(all, it.(*list))
	}
	slices.SortFunc(all, func(a, b *list) int { return slices.Compare([]string{a.name.name}, []string{b.name.name}) })
	for _, l := range all {
		for _, e := range l.endpoints {
			update(l.of, func(s *published) {
				if l.public && !slices.Contains(s.peers, e.Addr) {
					s.peers = append(s.peers, e.Addr)
					slices.Sort(s.peers)
				}
				if !l.public && !slices.Contains(s.endpoints.Ready, e.Endpoint) {
					s.endpoints.Ready = append(s.endpoints.Ready, e.Endpoint)
				}
			})
		}
	}
	return state
}

// slowSink blocks in its first call.
type slowSink struct {
	*recorder
	enter, leave chan struct{}
}

func (s slowSink) UpdateRevision(r activator.Revision) {
	if r.Limit == 0 {
		close(s.enter)
		<-s.leave
	}
	s.recorder.UpdateRevision(r)
}

// A state that is replaced while the sink is busy isn't published, and the last one is.
func TestTellerTellsTheNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable()
		id := throttler.RevisionID{Namespace: "ns", Name: "r"}
		sink := slowSink{newRecorder(t), make(chan struct{}), make(chan struct{})}
		synced := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go (&publisher{table: tb, sink: sink}).run(ctx, synced)
		for k := range kinds {
			tb.replace(k, nil)
		}
		<-synced
		for i := range 100 {
			tb.put(revisions, &revision{name{"ns", "r"}, activator.Revision{ID: id, Limit: i}})
			if i == 0 {
				<-sink.enter
			}
		}
		close(sink.leave)
		synctest.Wait()
		if got := sink.of("r").revision.Limit; got != 99 || sink.called() != 2 {
			t.Errorf("limit %d after %d calls, want 99 after 2", got, sink.called())
		}
		cancel()
		synctest.Wait()
	})
}
