package metrics_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// A pod measures its requests and answers the autoscaler's scrape.
func Example() {
	start := time.Unix(0, 0)
	c := metrics.NewConcurrency(start)
	c.Start(start, false)
	c.Start(start.Add(500*time.Millisecond), true)
	now := start.Add(time.Second) // a ticker's, once a second

	s := metrics.NewScrape(metrics.ScrapeLabels{Namespace: "default", Revision: "hello-world", Pod: "hello-0"})
	s.Set(c.Report(now).Stat("hello-0", now.Sub(start), now))

	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(w.Result().Body)
	var m statpb.Stat
	if err := proto.Unmarshal(body, &m); err != nil {
		panic(err)
	}
	fmt.Println(w.Header().Get("Content-Type"))
	fmt.Println(m.GetPodName(), m.GetAverageConcurrentRequests(), m.GetAverageProxiedConcurrentRequests(), m.GetRequestCount())
	// Output:
	// application/protobuf
	// hello-0 1.5 0.5 2
}

// An activator reports the first request of a revision at once.
func ExampleRevisions() {
	show := func(m *statpb.WireStatMessages) {
		for _, w := range m.GetMessages() {
			fmt.Println(w.GetNamespace(), w.GetName(), w.GetStat().GetAverageConcurrentRequests(), w.GetStat().GetRequestCount())
		}
	}
	// In an activator, First is StatSender.Send.
	r, err := metrics.NewRevisions(metrics.RevisionsConfig{Pod: "activator-0", First: show})
	if err != nil {
		panic(err)
	}
	now := time.Unix(0, 0)
	key := metrics.RevisionKey{Namespace: "default", Name: "hello-world"}
	one, two := r.Start(key, now), r.Start(key, now)
	now = now.Add(time.Second)
	show(r.Report(now)) // less what First has reported
	one.End(now)
	two.End(now)
	show(r.Report(now.Add(time.Second))) // all zero, then dropped
	// Output:
	// default hello-world 1 1
	// default hello-world 1 1
	// default hello-world 0 0
}
