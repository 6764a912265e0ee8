package player

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

func eventOf(t interface{ Fatal(...any) }, id string, size int) cloudevent.Event {
	e, err := cloudevent.New(map[string]string{"specversion": "1.0", "id": id, "source": "/s", "type": "t"}, make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A reader that applies each batch as the page does has, whenever it reads, what the feed has; except that it keeps what the bound of
// bytes has dropped, as a page does until it has more than mostEntries.
func TestFeedAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, place := newFeed(), ""
		var all, page []string // newest last
		for i := range rapid.IntRange(1, 400).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 99).Draw(t, "step"); {
			case step == 0:
				f.clear()
				all = nil
			case step < 10:
				b := f.after(place)
				if b.whole {
					page = nil
				}
				for _, e := range b.entries {
					id, _ := e.event.Attribute("id")
					page = append(page, id)
				}
				place = b.place
				page = page[max(0, len(page)-mostEntries):]
				if got, want := strings.Join(page, " "), strings.Join(all, " "); !strings.HasSuffix(got, want) || (got == "") != (want == "") {
					t.Fatalf("page: %s, feed: %s", got, want)
				}
			default:
				size := 10
				if step > 97 {
					size = mostBytes / rapid.IntRange(1, 10).Draw(t, "part")
				}
				id := fmt.Sprint(i)
				f.add(entry{kind: received, event: eventOf(t, id, size)})
				all = append(all, id)
			}
			all = all[max(0, len(all)-len(f.entries)):]
			sum := 0
			for n, e := range f.entries {
				sum += e.size
				if id, _ := e.event.Attribute("id"); id != all[n] {
					t.Fatalf("entry %d is %s, want %s", n, id, all[n])
				}
			}
			if sum != f.size || f.size > mostBytes || len(f.entries) > mostEntries {
				t.Fatalf("%d entries of %d bytes, which count as %d", len(f.entries), sum, f.size)
			}
		}
	})
}

// A small event keeps nothing of the body that it came in.
func TestFeedKeepsNoBodies(t *testing.T) {
	body := make([]byte, mostBody)
	e, err := cloudevent.New(map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}, body[:1])
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed()
	f.add(entry{kind: received, event: e})
	if kept := f.entries[0].event.Data(); len(kept) != 1 || cap(kept) > 1<<10 {
		t.Errorf("%d of %d bytes", len(kept), cap(kept))
	}
}
