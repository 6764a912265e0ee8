package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	connections = 24     // of senders
	fewKeys     = 6      // in fewEvents
	atOnce      = 10     // events in a batch
	mostBehind  = 20_000 // events that were acknowledged and not yet delivered
)

// senders send events to a broker. Each has keys of its own, whose events have rising numbers, and sends one again until it is
// acknowledged: so the numbers below next were.
type senders struct {
	t      testing.TB
	url    string
	client *http.Client
	next   []int // by key, the next event's number; a sender's own while it runs
	few    int   // keys of fewEvents
	stop   chan struct{}
	wg     sync.WaitGroup

	load         atomic.Int32 // noEvents, manyEvents or fewEvents
	quota        atomic.Int64 // of manyEvents
	behind       atomic.Int64 // how many of these may be acknowledged and not yet delivered
	acknowledged atomic.Int64
	delivered    atomic.Int64 // told by the test
	again        atomic.Int64 // requests that were not acknowledged
}

const (
	noEvents   = iota
	manyEvents // as many as are taken, of all keys, in batches
	fewEvents  // of few keys, and of each one is in progress most of the time
)

// startSenders starts senders of about n events in all, and of a few keys in fewEvents.
func startSenders(q *quickstart, url string, n, few int) *senders {
	s := &senders{
		t: q.t, url: url, client: q.client(connections), next: make([]int, min(10_000, n/20)),
		few: few, stop: make(chan struct{}),
	}
	s.behind.Store(int64(max(1000, n/20)))
	for i := range connections {
		s.wg.Go(func() { s.send(i) })
	}
	return s
}

// end ends the senders when all that they have sent is acknowledged.
func (s *senders) end() {
	close(s.stop)
	s.wg.Wait()
}

func (s *senders) send(i int) {
	pause := 5 * time.Millisecond
	for {
		select {
		case <-s.stop:
			return
		case <-time.After(pause):
		}
		pause = 5 * time.Millisecond
		switch s.load.Load() {
		case manyEvents:
			if s.acknowledged.Load()-s.delivered.Load() < s.behind.Load() && s.quota.Add(-atOnce) >= 0 {
				s.sendBatch(i)
				pause = 0
			}
		case fewEvents:
			if i < s.few {
				s.sendOne(i)
				pause = workOfFew
			}
		}
	}
}

// workOfMany and workOfFew are how long an event takes the app.
const (
	workOfMany = 5 * time.Millisecond
	workOfFew  = 25 * time.Millisecond
)

// sendBatch sends events of different keys.
func (s *senders) sendBatch(i int) {
	own := (len(s.next) - i + connections - 1) / connections
	first := rand.IntN(own)
	var keys []int
	var batch []map[string]string
	for n := range min(atOnce, own) {
		key := i + (first+n)%own*connections
		keys = append(keys, key)
		batch = append(batch, map[string]string{
			"specversion": "1.0", "id": fmt.Sprintf("%d-%d", key, s.next[key]), "source": "/e2e", "type": "e2e", "subject": itoa(key),
			"number": itoa(s.next[key]), "work": workOfMany.String(),
		})
	}
	body, err := json.Marshal(batch)
	if err != nil {
		panic(err)
	}
	s.untilAcknowledged(http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, string(body))
	for _, key := range keys {
		s.next[key]++
	}
	s.acknowledged.Add(int64(len(keys)))
}

func (s *senders) sendOne(key int) {
	s.untilAcknowledged(http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {fmt.Sprintf("%d-%d", key, s.next[key])}, "Ce-Source": {"/e2e"}, "Ce-Type": {"e2e"},
		"Ce-Subject": {itoa(key)}, "Ce-Number": {itoa(s.next[key])}, "Ce-Work": {workOfFew.String()},
	}, "")
	s.next[key]++
	s.acknowledged.Add(1)
}

func (s *senders) untilAcknowledged(head http.Header, body string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		r := request(http.MethodPost, s.url, body)
		r.Header = head
		a := do(s.client, r)
		if a.err == nil && a.status == http.StatusAccepted {
			return
		}
		s.again.Add(1)
		if time.Now().After(deadline) {
			s.t.Errorf("not acknowledged within %v: %v", patience, a)
			return
		}
	}
}
