package throttler_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/throttler"
)

func TestShare(t *testing.T) {
	pods := []string{"c", "a", "d", "b", "e"}
	for _, c := range []struct {
		name  string
		ids   []string
		peers []string
		self  string
		want  []string
	}{
		{"first of two", pods, []string{"y", "x"}, "x", []string{"a", "b", "e"}},
		{"second of two", pods, []string{"y", "x"}, "y", []string{"c", "d"}},
		{"first of three", pods, []string{"x", "y", "z"}, "x", []string{"a", "d"}},
		{"last of three", pods, []string{"x", "y", "z"}, "z", []string{"c"}},
		{"not listed yet", pods, []string{"y", "x"}, "z", []string{"a", "b", "c", "d", "e"}},
		{"no peers", pods, nil, "x", []string{"a", "b", "c", "d", "e"}},
		{"listed twice", pods, []string{"x", "y", "x"}, "x", []string{"a", "b", "e"}},
		{"alone", pods, []string{"x"}, "x", []string{"a", "b", "c", "d", "e"}},
		{"more activators than pods", []string{"b", "a"}, []string{"u", "v", "w", "x", "y"}, "x", []string{"b"}},
		{"no pods", nil, []string{"x", "y"}, "x", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for i, own := range throttler.Share(c.ids, c.peers, c.self) {
				if own {
					got = append(got, c.ids[i])
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Every pod has an owner, exactly one unless there are more activators than pods; every activator has a pod; sizes are even.
func TestShareCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := make([]string, rapid.IntRange(1, 50).Draw(t, "pods"))
		for i := range ids {
			ids[i] = fmt.Sprintf("pod-%d", i)
		}
		peers := make([]string, rapid.IntRange(1, 60).Draw(t, "peers"))
		for i := range peers {
			peers[i] = fmt.Sprintf("activator-%d", i)
		}
		ids = rapid.Permutation(ids).Draw(t, "ids")
		owners := make([]int, len(ids))
		least, most := len(ids), 0
		for _, self := range peers {
			n := 0
			for i, own := range throttler.Share(ids, peers, self) {
				if own {
					owners[i]++
					n++
				}
			}
			least, most = min(least, n), max(most, n)
		}
		if least == 0 || most-least > 1 {
			t.Fatalf("shares from %d to %d pods", least, most)
		}
		for i, n := range owners {
			if n == 0 || n > 1 && len(peers) <= len(ids) {
				t.Fatalf("%s has %d owners", ids[i], n)
			}
		}
	})
}
