package quota

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func fill(b *Bound, held int64) int64 {
	for b.Take(1, held, 0) {
		held++
	}
	return held
}

func TestParts(t *testing.T) {
	b := New(20_000)
	var all []int64
	for range 3 {
		all = append(all, fill(b, 0))
	}
	if fmt.Sprint(all) != "[10000 5000 2500]" {
		t.Errorf("one after the other: %v", all)
	}
	for i := range 100 {
		if n := fill(b, 0); n == 0 {
			t.Errorf("nothing is left for key %d", i)
		}
	}
	b = New(20_000)
	var x, y int64
	for more := true; more; {
		more = false
		for _, held := range []*int64{&x, &y} {
			if b.Take(1, *held, 0) {
				*held++
				more = true
			}
		}
	}
	if x != 6667 || y != 6667 {
		t.Errorf("side by side: %d and %d", x, y)
	}
}

// A client that has its part, such as an ingress through which all come, gets in what holds little.
func TestAnotherKey(t *testing.T) {
	b := New(20_000)
	var ingress int64
	take := func(held int64) bool {
		ok := b.Take(1, held, ingress)
		if ok {
			ingress++
		}
		return ok
	}
	flood := int64(0)
	for take(flood) {
		flood++
	}
	if flood != 10_000 {
		t.Errorf("one revision has %d", flood)
	}
	for i := range 100 {
		if !take(0) {
			t.Fatalf("no place for revision %d", i)
		}
	}
	for b.Used() < 17_500 {
		if !take(0) {
			t.Fatalf("refused at %d", b.Used())
		}
	}
	if take(0) {
		t.Error("the reserve is given to a key that holds half of the bound")
	}
	if !b.Take(1, 0, 0) {
		t.Error("the reserve is not given to a newcomer")
	}
}

// Whatever is taken and given back: the bound holds, and who holds nothing gets something as long as anything is free.
func TestBoundHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 3000).Draw(t, "limit")
		b, held := New(limit), map[int]int64{}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				k, n := rapid.IntRange(0, 9).Draw(t, "key"), rapid.Int64Range(1, 40).Draw(t, "n")
				for range rapid.IntRange(1, 400).Draw(t, "times") {
					free := b.Limit() - b.Used()
					switch ok := b.Take(n, held[k], 0); {
					case !ok && held[k] == 0 && n <= free:
						t.Fatalf("%d of %d are free, and a newcomer gets none", free, limit)
					case ok && held[k] > 0 && held[k] >= free:
						t.Fatalf("a key with %d got more of %d", held[k], free)
					case ok:
						held[k] += n
					}
				}
			},
			"give": func(t *rapid.T) {
				k := rapid.IntRange(0, 9).Draw(t, "key")
				if held[k] > 0 {
					n := rapid.Int64Range(1, held[k]).Draw(t, "n")
					b.Give(n)
					held[k] -= n
				}
			},
			"": func(t *rapid.T) {
				sum := int64(0)
				for _, n := range held {
					sum += n
				}
				if sum != b.Used() || sum > limit {
					t.Fatalf("%d of %d, want %d", b.Used(), limit, sum)
				}
			},
		})
	})
}

func TestShares(t *testing.T) {
	s := NewShares[string](100)
	var all sync.WaitGroup
	for k := range 4 {
		all.Go(func() {
			key := fmt.Sprint(k)
			for range 1000 {
				if s.TakeOne(key) {
					s.GiveOne(key)
				}
			}
		})
	}
	all.Wait()
	if s.Used() != 0 || len(s.held) != 0 {
		t.Errorf("%d, %v", s.Used(), s.held)
	}
	for range 60 {
		s.TakeOne("a")
	}
	for range 45 {
		s.TakeOne("")
	}
	if s.held["a"] != 50 || s.Used() != 95 || s.Refused() == 0 {
		t.Errorf("%v, %d in all", s.held, s.Used())
	}
}

func TestClient(t *testing.T) {
	for a, want := range map[string]string{
		"10.0.0.7": "10.0.0.7", "::ffff:10.0.0.7": "10.0.0.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := Client(netip.MustParseAddr(a), nil); got.String() != want {
			t.Errorf("%s: %v, want %s", a, got, want)
		}
	}
	many := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	if got := Client(netip.MustParseAddr("::ffff:10.9.9.9"), many); got.IsValid() {
		t.Errorf("an ingress is %v", got)
	}
}
