package main

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// events receives CloudEvents in either mode and stores their IDs. It does not use the SDK's receive handler, which passes all
// requests through one channel, where one of several concurrent requests may wait forever.
type events struct {
	mu       sync.Mutex
	accepted map[string]int // id → how often
	refused  map[string]bool
}

func newEvents() *events { return &events{accepted: map[string]int{}, refused: map[string]bool{}} }

// ServeHTTP refuses the first delivery of an event whose number is a multiple of ?refuse.
func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	every, _ := strconv.Atoi(r.URL.Query().Get("refuse"))
	event, err := cehttp.NewEventFromHTTPRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var number int
	if err := event.DataAs(&number); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !e.take(event.ID(), every > 0 && number%every == 0) {
		http.Error(w, "not this time", http.StatusServiceUnavailable)
	}
}

// take accepts an event, unless it is the first delivery of an event that is refused once.
func (e *events) take(id string, once bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if once && !e.refused[id] {
		e.refused[id] = true
		return false
	}
	e.accepted[id]++
	return true
}

func (e *events) list() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.accepted))
}
