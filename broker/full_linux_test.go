package broker

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A broker on a full disk takes nothing, says why, delivers what it has acknowledged, and takes events again when there is room.
func TestDiskIsFull(t *testing.T) {
	dir, ballast := smallDisk(t)
	registry, values := newRegistry()
	core, lines := observer.New(zap.ErrorLevel)
	s, url := newServer(t, Config{Dir: filepath.Join(dir, "events"), Registerer: registry, Logger: zap.New(core)})
	newTrigger(t, s, Trigger{ID: ID{"default", "t"}})
	data := strings.Repeat("x", 10_000)
	n := 0
	for status, text := 0, ""; ; n++ {
		if status, text = post(t, url, fmt.Sprint(n), "", data); status == http.StatusServiceUnavailable {
			if !strings.Contains(text, "no space") || strings.Contains(text, dir) { // where it is is in the log
				t.Errorf("%s", text)
			}
			break
		} else if status != http.StatusAccepted || n > 1000 {
			t.Fatalf("event %d: %d %s", n, status, text)
		}
	}
	if got := values(t)[`sluice_broker_events_total{broker="example-broker",namespace="default",result="disk_full"}`]; got != 1 {
		t.Errorf("%v events are counted", got)
	}
	if all := lines.FilterMessageSnippet("can't be stored").All(); len(all) != 1 || !strings.Contains(fmt.Sprint(all[0].ContextMap()["error"]), dir) {
		t.Errorf("the log has %v", lines.All())
	}
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{ID: ID{"default", "t"}, Subscriber: sink.URL})
	sink.wait(t, n)
	done(t, s, "t")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "events are taken again", func() bool {
		status, _ := post(t, url, "last", "", data)
		return status == http.StatusAccepted
	})
	got := sink.wait(t, n+1)
	if last := got[len(got)-1].id(); last != "last" {
		t.Errorf("the last event is %s", last)
	}
}
