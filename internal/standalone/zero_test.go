package standalone

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

// All replicas end at once though the last request was just now, and none starts again before the next request; what has to run
// stays.
func TestScaleToZeroNow(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	b.build(answering("slow", 4*time.Second))
	w := newWorld(t, service("hello", "", "World", "")+
		annotated("always", "x", "autoscaling.knative.dev/min-scale: '1'")+
		command(service("slow", "", "x", ""), b.file))
	w.config.Scaling.StableWindow = time.Hour
	w.start()
	w.gets("always", "200 Hello x!\n")
	slow := make(chan string)
	go func() { got, _ := w.get("slow"); slow <- got }()
	w.eventually("slow runs", func() bool { return w.ready("slow-00001") == 1 })
	w.gets("hello", "200 Hello World!\n")
	w.eventually("no request for hello", func() bool { // its client may have the response a moment before it counts as ended
		stats, _ := w.server.activator.Stats(throttler.RevisionID{Namespace: "default", Name: "hello-00001"})
		return stats.InFlight == 0
	})
	w.server.ScaleToZero()
	w.eventually("zero", func() bool { return w.ready("hello-00001") == 0 })
	if got := <-slow; got != "200 slow" { // meanwhile the reports of before z arrive
		t.Errorf("%q", got)
	}
	if w.ready("hello-00001") != 0 || strings.Count(w.out.String(), "cold start of hello-00001") != 1 || w.ready("always-00001") != 1 {
		t.Errorf("hello %d, always %d", w.ready("hello-00001"), w.ready("always-00001"))
	}
	w.gets("hello", "200 Hello World!\n")
	w.eventually("a second cold start", func() bool { return strings.Count(w.out.String(), "cold start of hello-00001") == 2 })
}
