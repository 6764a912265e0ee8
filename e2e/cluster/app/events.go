package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// events receives CloudEvents and remembers which.
type events struct {
	receiver http.Handler

	mu       sync.Mutex
	accepted map[string]int // id → how often
	refused  map[string]bool
}

func newEvents() (*events, error) {
	e := &events{accepted: map[string]int{}, refused: map[string]bool{}}
	protocol, err := cehttp.New()
	if err != nil {
		return nil, fmt.Errorf("CloudEvents over HTTP: %w", err)
	}
	e.receiver, err = cloudevents.NewHTTPReceiveHandler(context.Background(), protocol, e.receive)
	return e, err
}

type refuseKey struct{}

func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("refuse"))
	e.receiver.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), refuseKey{}, n)))
}

// receive refuses the first delivery of an event whose number ends its ID and is a multiple of ?refuse.
func (e *events) receive(ctx context.Context, event cloudevents.Event) cloudevents.Result {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, _ := ctx.Value(refuseKey{}).(int)
	var number int
	if err := event.DataAs(&number); err != nil {
		return cehttp.NewResult(http.StatusBadRequest, "%w", err)
	}
	if n > 0 && number%n == 0 && !e.refused[event.ID()] {
		e.refused[event.ID()] = true
		return cehttp.NewResult(http.StatusServiceUnavailable, "not this time")
	}
	e.accepted[event.ID()]++
	return nil
}

func (e *events) list() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.accepted))
}
