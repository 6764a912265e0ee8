package broker

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A delivery whose reply can't be stored has failed, and is made again: the full disk is that of TestDiskIsFull.
func TestReplyThatCantBeStored(t *testing.T) {
	dir, ballast := smallDisk(t)
	s, url := newServer(t, Config{Dir: filepath.Join(dir, "events")})
	data := strings.Repeat("x", 10_000)
	full := make(chan struct{})
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
		select {
		case <-full:
		case <-t.Context().Done():
		}
		replyWith(w, "reply", "reply")
		fmt.Fprint(w, data)
	})
	replies := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Filter: ofType("test"), Delivery: &Delivery{Retry: 100_000}})
	newTrigger(t, s, Trigger{ID: named("replies"), Subscriber: replies.URL, Filter: ofType("reply")})
	mustPost(t, url, "1", "")
	sink.wait(t, 1)
	for n, status := 0, 0; status != http.StatusServiceUnavailable; n++ {
		if status, _ = post(t, url, "other", "", data, "Ce-Type", "other"); n > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	close(full)
	sink.wait(t, 3)
	if got := replies.wait(t, 0); len(got) > 0 {
		t.Fatal("the reply was stored on a full disk")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	replies.wait(t, 1)
	done(t, s, "trigger")
}
