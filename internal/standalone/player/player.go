// Package player is the quickstart's built-in sample for events: a page that sends CloudEvents to a broker and shows those that come, like
// the image cloudevents-player of Knative's tutorial.
//
//	browser ──form──► POST /send ──────┐
//	curl ────event──► POST /messages ──┴─► $BROKER_URL (or $K_SINK, $PLAYER_BROKER) ──► broker
//	                                                                                      │
//	browser ◄──GET /, GET /events (SSE)── feed, the newest 200 ◄── POST / ◄── trigger ◄───┘
//
//	GET /messages?page=0&size=10   the same as JSON
//	DELETE /messages               forgets all
//
// It listens on $PORT of the loopback interface, and shuts down cleanly on SIGTERM.
//
// # Concurrency
//
// A server is an http.Handler: its goroutines are net/http's. All share its feed, which has a lock. A reader of /events has no queue: it
// remembers how far it has read, and one that falls behind what the feed keeps gets the whole list again.
package player

import (
	"context"
	"fmt"
	"os"

	"github.com/sluice-proxy/sluice/internal/standalone/sample"
)

// Name is the argv[0] with which the binary has to call Main.
const Name = "sluice-player"

// Images are the references of the sample.
var Images = [...]string{"ruromero/cloudevents-player", "docker.io/ruromero/cloudevents-player", "quay.io/ruben/cloudevents-player"}

// Main serves until ctx is cancelled, then finishes requests in flight, for at most 10 s. env works like os.Getenv.
func Main(ctx context.Context, env func(string) string) error {
	l, err := sample.Listen(ctx, env)
	if err != nil {
		return err
	}
	c, err := configOf(env, "http://"+l.Addr().String()+"/")
	if err != nil {
		_ = l.Close()
		return err
	}
	fmt.Fprintf(os.Stdout, "cloudevents-player: listening on %v, sends to %s\n", l.Addr(), c.broker)
	s := newServer(c, ctx.Done())
	defer s.client.CloseIdleConnections()
	return sample.Serve(ctx, l, s.handler())
}
