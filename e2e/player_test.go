package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// playerMessage is an event as the built-in player lists it.
type playerMessage struct {
	Type, EventType, Subject string
	Extensions               map[string]string
}

// The examples of events: what is sent with the player comes to its page as it happens. Each subject stays on a replica, and is on another one only
// with another epoch.
func TestExamplesOfEvents(t *testing.T) {
	t.Parallel()
	q := newQuickstart(t)
	q.manifest = "../examples/events"
	q.start()
	q.sees("service orders: ready", "service cloudevents-player: ready")
	client := q.client(2)
	stream, err := client.Do(request(http.MethodGet, q.url("cloudevents-player", "/events"), ""))
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatal(stream, err)
	}
	defer stream.Body.Close()
	const subjects = 12
	homes, used := map[string]string{}, map[string]bool{}
	for round := 0; round < 4 || len(used) < 2; round++ { // the second replica may be ready later
		if round > 100 {
			t.Fatal("one replica gets nothing")
		}
		for i := range subjects {
			q.order(client, fmt.Sprintf("subject-%d", i), round)
		}
		for _, m := range q.ordersSeen(client, subjects) {
			instance, epoch := m.Extensions["instance"], m.Extensions["keyepoch"]
			home := m.Subject + " in epoch " + epoch
			if before, ok := homes[home]; epoch == "" || ok && before != instance {
				t.Errorf("%s: on %q, and before on %q", home, instance, before)
			}
			homes[home], used[instance] = instance, true
		}
	}
	if len(homes) > 2*subjects { // each has moved at most once, to the replica that came
		t.Errorf("%v", homes)
	}
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), `data: <li class="received">`) && strings.Contains(lines.Text(), "order.seen") {
			return // without a second request
		}
	}
	t.Error("the stream has ended without an event")
}

// order sends an order to the broker by way of the player.
func (q *quickstart) order(client *http.Client, subject string, number int) {
	q.t.Helper()
	r := request(http.MethodPost, q.url("cloudevents-player", "/messages"), fmt.Sprint(number))
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": fmt.Sprintf("%s-%d", subject, number), "Ce-Source": "/test", "Ce-Type": "order",
		"Ce-Subject": subject, "Content-Type": "application/json",
	} {
		r.Header.Set(name, value)
	}
	if a := do(client, r); a.status != http.StatusAccepted {
		q.t.Fatal(a)
	}
}

// ordersSeen waits until the player has n answers to orders, returns them, and clears the player.
func (q *quickstart) ordersSeen(client *http.Client, n int) (seen []playerMessage) {
	q.t.Helper()
	q.eventually("all orders are seen", func() bool {
		var all []playerMessage
		if err := json.Unmarshal([]byte(mustGet(q.t, client, q.url("cloudevents-player", "/messages?size=200")).body), &all); err != nil {
			q.t.Fatal(err)
		}
		seen = nil
		for _, m := range all {
			if m.Type == "RECEIVED" && m.EventType == "order.seen" {
				seen = append(seen, m)
			}
		}
		return len(seen) >= n
	})
	if a := do(client, request(http.MethodDelete, q.url("cloudevents-player", "/messages"), "")); a.status != http.StatusAccepted {
		q.t.Fatal(a)
	}
	return seen
}
