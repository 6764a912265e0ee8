package kube

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/throttler"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	benchRevisions = 10_000
	benchPods      = 100_000 // ten of each revision
)

// counter is a sink that counts.
type counter struct {
	revisions, pods atomic.Int64
	published       chan int // pods of the revision that is watched, if there is room
	watched         string
}

func (c *counter) UpdateRevision(activator.Revision)          { c.revisions.Add(1) }
func (c *counter) DeleteRevision(throttler.RevisionID)        { c.revisions.Add(-1) }
func (c *counter) UpdatePeers(throttler.RevisionID, []string) {}
func (c *counter) UpdateEndpoints(id throttler.RevisionID, e activator.Endpoints) {
	c.pods.Add(int64(len(e.Ready)))
	if id.Name == c.watched {
		c.published <- len(e.Ready)
	}
}

func rev(i int) string { return fmt.Sprintf("service-%05d-00001", i) }

// fullRevision is as long as those of a cluster: 2.5 KB of JSON, half of which is of no use here.
func fullRevision(i int) *unstructured.Unstructured {
	r := aRevision(rev(i), 10)
	m := r.Object["metadata"].(map[string]any)
	m["uid"], m["creationTimestamp"] = "a3da56ec-0bb8-47b6-b413-271dd137a5ec", "2026-01-01T00:00:00Z"
	m["annotations"] = map[string]any{"serving.knative.dev/creator": "admin", "serving.knative.dev/routes": "service"}
	fields := map[string]any{}
	for k := range 25 {
		fields[fmt.Sprintf("f:field-%02d", k)] = map[string]any{"f:inner": map[string]any{}, "f:other": map[string]any{}}
	}
	m["managedFields"] = []any{map[string]any{"manager": "controller", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields}}
	return r
}

func cluster(b *testing.B) *api {
	a := newAPI(b)
	for i := range benchRevisions {
		a.put("revisions", fullRevision(i))
		a.put("services", aService(rev(i), "10.96.0.9"))
		const each = benchPods / benchRevisions
		a.put("endpointslices", podSlice(rev(i), 0, podsFrom(1+i*each, each)...),
			peerSlice(rev(i), pod{uid: "a", ip: "10.1.0.2", namespace: "knative-serving", state: "ready"}))
	}
	return a
}

func running(b *testing.B, a *api, sink activator.Sink) (s *Source, stop func()) {
	s, err := New(Config{REST: a.config(), SystemNamespace: "knative-serving"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx, sink) }()
	return s, func() { cancel(); <-ended }
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkSync lists 10 000 revisions with 100 000 pods. The API server is in the same process: half of the time is its
// encoding.
func BenchmarkSync(b *testing.B) {
	a := cluster(b)
	for b.Loop() {
		before := heap()
		sink := &counter{}
		began := time.Now()
		s, stop := running(b, a, sink)
		<-s.Synced()
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/sync")
		if sink.revisions.Load() != benchRevisions || sink.pods.Load() != benchPods {
			b.Fatalf("published %d revisions and %d pods", sink.revisions.Load(), sink.pods.Load())
		}
		kept := heap() - before
		b.ReportMetric(float64(kept)/benchPods, "B/pod")
		b.ReportMetric(float64(kept)/benchRevisions, "B/revision")
		runtime.KeepAlive(s)
		stop()
	}
}

// BenchmarkChange has one pod change among those of a revision, which are in slices of 100, as Kubernetes makes them.
// With the API server is from its put to the sink's call; table is the part of it that begins with a decoded object.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{10, 1000} {
		slicesOf := func() (all []object) {
			for i := range max(1, n/100) {
				all = append(all, podSlice("r", i, podsFrom(1+i*100, min(n, 100))...))
			}
			return all
		}
		states := []string{"unready", "ready"}
		changed := func(i int) object {
			p := podsFrom(1, min(n, 100))
			p[0].state = states[i%2]
			return podSlice("r", 0, p...)
		}
		b.Run(fmt.Sprintf("with the API server/pods=%d", n), func(b *testing.B) {
			a := newAPI(b)
			a.put("revisions", aRevision("r", 10))
			a.put("services", aService("r", "10.96.0.9"))
			a.put("endpointslices", slicesOf()...)
			sink := &counter{watched: "r", published: make(chan int, 1)}
			_, stop := running(b, a, sink)
			defer stop()
			<-sink.published
			for i := 0; b.Loop(); i++ {
				a.put("endpointslices", changed(i))
				if got, want := <-sink.published, n-1+i%2; got != want {
					b.Fatalf("%d pods are ready, want %d", got, want)
				}
			}
		})
		b.Run(fmt.Sprintf("table/pods=%d", n), func(b *testing.B) {
			t := newTable()
			s := &store{endpoints, reader{systemNamespace: "knative-serving"}.list, t}
			sink := &counter{watched: "r", published: make(chan int, 1)}
			tl := &publisher{table: t, sink: sink, index: map[string]int{}}
			for _, o := range slicesOf() {
				_ = s.Add(o)
			}
			events := []object{changed(0), changed(1)}
			var changes []change
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_ = s.Update(events[i%2])
				for changes = t.take(changes[:0]); len(changes) > 0; changes = changes[1:] {
					tl.publish(&changes[0])
				}
				<-sink.published
			}
		})
	}
}
