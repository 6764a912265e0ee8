package throttler_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/throttler"
)

// crowd is a Throttler of cold revisions with what waits for them.
type crowd struct {
	*throttler.Throttler
	fatal  func(args ...any)
	known  map[int]bool
	places map[int][]*throttler.Place
}

func newCrowd(c throttler.Config, fatal func(args ...any)) *crowd {
	th, err := throttler.New(c)
	if err != nil {
		fatal(err)
	}
	return &crowd{th, fatal, map[int]bool{}, map[int][]*throttler.Place{}}
}

// come has one more request wait for a revision, if it may.
func (c *crowd) come(revision, client, bytes int) bool {
	id := revisionID(revision)
	if !c.known[revision] {
		c.known[revision] = true
		c.SetRevision(id, throttler.RevisionConfig{})
	}
	d := throttler.Demand{Revision: id, Bytes: bytes}
	if client >= 0 {
		d.Client = netip.AddrFrom4([4]byte{10, 0, byte(client >> 8), byte(client)})
	}
	_, place, err := c.Queue(d, func() {})
	if err != nil {
		if !errors.Is(err, throttler.ErrQueueFull) {
			c.fatal(err)
		}
		return false
	}
	c.places[revision] = append(c.places[revision], place)
	return true
}

func (c *crowd) leave(revision int) {
	if n := len(c.places[revision]); n > 0 {
		_, _ = c.places[revision][n-1].Leave(errors.New("gone"))
		c.places[revision] = c.places[revision][:n-1]
	}
}

// Two cold revisions are flooded with 10 000 requests each, by one client or by many, over an ingress or not: the cold
// starts of a hundred others get in.
func TestF5TwoFloods(t *testing.T) {
	for name, client := range map[string]func(i int) int{
		"one client": func(int) int { return 1 },
		"many":       func(i int) int { return i % 500 },
		"an ingress": func(int) int { return -1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(throttler.Config{}, t.Fatal)
			for i := range 10_000 {
				c.come(0, client(i), 100)
				c.come(1, client(i), 100)
			}
			for r := 2; r < 102; r++ {
				if !c.come(r, r, 100) {
					t.Fatalf("revision %d is shut out by %v", r, c.Totals())
				}
			}
			n := len(c.places[0]) + len(c.places[1])
			if n < 10_000 || n > 17_500 {
				t.Errorf("%d of the floods wait", n)
			}
			for r := range 102 {
				for len(c.places[r]) > 0 {
					c.leave(r)
				}
			}
			if s := c.Totals(); s.Waiting != 0 || s.WaitingBytes != 0 {
				t.Errorf("left behind: %+v", s)
			}
		})
	}
}

// A revision alone may have all that the contract gives it.
func TestF5OneFlood(t *testing.T) {
	c := newCrowd(throttler.Config{}, t.Fatal)
	for i := range 12_000 {
		if ok := c.come(0, 1, 1000); ok != (i < 10_000) {
			t.Fatalf("request %d: %v", i, ok)
		}
	}
}

// Whatever revisions and clients do, the bounds hold, and a request is let in as long as there is room for it in the
// reserve, if nothing waits for its revision and nothing of its client's.
func TestF5NewcomersGetIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := throttler.Config{MaxWaiting: rapid.IntRange(8, 500).Draw(t, "requests"), MaxWaitingBytes: rapid.Int64Range(1000, 50_000).Draw(t, "bytes")}
		c := newCrowd(config, func(args ...any) { t.Fatal(args...) })
		newcomer := 1000
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				r, who := rapid.IntRange(0, 9).Draw(t, "revision"), rapid.IntRange(-1, 5).Draw(t, "client")
				bytes := rapid.IntRange(0, 300).Draw(t, "bytes")
				for range rapid.IntRange(1, 200).Draw(t, "times") {
					c.come(r, who, bytes)
				}
			},
			"leave": func(t *rapid.T) {
				r := rapid.IntRange(0, 9).Draw(t, "revision")
				for range rapid.IntRange(1, 100).Draw(t, "times") {
					c.leave(r)
				}
			},
			"newcomer": func(t *rapid.T) {
				s := c.Totals()
				newcomer++
				fits := s.Waiting < config.MaxWaiting && s.WaitingBytes+100 <= config.MaxWaitingBytes
				if ok := c.come(newcomer, newcomer, 100); ok != fits {
					t.Fatalf("let in: %v, room: %v, %+v", ok, fits, s)
				}
			},
			"": func(t *rapid.T) {
				n := 0
				for _, all := range c.places {
					n += len(all)
				}
				if s := c.Totals(); s.Waiting != n || n > config.MaxWaiting || s.WaitingBytes > config.MaxWaitingBytes {
					t.Fatal(fmt.Sprint(n, " wait: ", s))
				}
			},
		})
	})
}
