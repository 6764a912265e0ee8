package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load is a steady stream of requests to one revision. The project's "under load" is 500 a second from 64 connections.
type load struct {
	to    *revision
	path  string
	conns int
	rate  int // requests a second; 0: each connection sends the next request at once
	tries int // attempts of a request in all, as an ingress retries failures; 0: one
	// client makes the client of each connection; nil: the revision's.
	client func() *http.Client
}

// perConnection is the number of requests after which a connection is closed, so that the load follows changed endpoints.
const perConnection = 50

// running is a load in progress.
type running struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu sync.Mutex
	tally
}

// tally is the result of a load.
type tally struct {
	total, failed, retried int
	causes                 map[string]int
	via                    map[string]int // requests by X-Via
	pods                   map[string]int
	inFlight               int // maximum of requests in flight in an app
}

// begin starts the load; the caller must call end.
func (l load) begin(ctx context.Context) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, tally: tally{causes: map[string]int{}, via: map[string]int{}, pods: map[string]int{}}}
	if l.client == nil {
		l.client = l.to.client
	}
	for range l.conns {
		r.done.Go(func() { l.connection(ctx, r) })
	}
	return r
}

// run runs the load for a time.
func (l load) run(ctx context.Context, d time.Duration) tally {
	r := l.begin(ctx)
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return r.end()
}

// end stops the load and waits for the requests in flight.
func (r *running) end() tally {
	r.cancel()
	r.done.Wait()
	return r.tally
}

func (l load) connection(ctx context.Context, r *running) {
	client := l.client()
	defer func() { client.CloseIdleConnections() }()
	var interval time.Duration
	if l.rate > 0 {
		interval = time.Duration(l.conns) * time.Second / time.Duration(l.rate)
	}
	next := time.Now().Add(rand.N(interval + 1))
	for n := rand.IntN(perConnection); ; n++ {
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			return
		}
		if n >= perConnection {
			client.CloseIdleConnections()
			client, n = l.client(), 0
		}
		l.request(client, r)
		if next = next.Add(interval); time.Until(next) < 0 {
			next = time.Now() // it is late: don't catch up in a burst
		}
	}
}

// request isn't cancelled with the load: a request that was sent must be answered.
func (l load) request(client *http.Client, r *running) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var a *answer
	var err error
	tries := 0
	for ; tries == 0 || err != nil && tries < l.tries; tries++ {
		if tries > 0 {
			time.Sleep(100 * time.Millisecond)
		}
		if a, err = send(ctx, client, http.MethodGet, l.to.url(l.path), nil); err == nil {
			err = a.want(http.StatusOK)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	r.retried += tries - 1
	if err != nil {
		r.failed++
		r.causes[cause(err)]++
		return
	}
	r.via[a.header.Get("X-Via")]++
	r.pods[a.header.Get("X-Pod")]++
	if n, err := strconv.Atoi(a.header.Get("X-In-Flight")); err == nil {
		r.inFlight = max(r.inFlight, n)
	}
}

// cause removes the parts of an error that differ between failures of one kind.
func cause(err error) string {
	words := strings.Fields(shorten(err.Error()))
	return strings.Join(slices.DeleteFunc(words, func(w string) bool {
		_, notDuration := time.ParseDuration(strings.TrimSuffix(w, ","))
		return strings.Contains(w, "->") || strings.HasPrefix(w, `"http:`) || notDuration == nil
	}), " ")
}

// none returns an error unless requests were sent and all were answered with 200.
func (t tally) none() error {
	if t.total == 0 {
		return fmt.Errorf("no request was sent")
	}
	if t.failed == 0 {
		return nil
	}
	most := slices.SortedFunc(maps.Keys(t.causes), func(a, b string) int { return t.causes[b] - t.causes[a] })
	var causes []string
	for _, c := range most[:min(3, len(most))] {
		causes = append(causes, fmt.Sprintf("%d × %s", t.causes[c], c))
	}
	return fmt.Errorf("%d of %d requests failed: %s", t.failed, t.total, strings.Join(causes, "; "))
}

// figure is the tally in a cell of the table.
func (t tally) figure() string {
	text := fmt.Sprintf("%d of %d failed", t.failed, t.total)
	if t.retried > 0 {
		text += fmt.Sprintf(", %d retried", t.retried)
	}
	return text
}

func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)*p/100]
}
