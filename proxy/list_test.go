package proxy

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// element is of a list.
type element struct {
	links[element]
	n int
}

func (e *element) link() *links[element] { return &e.links }

// A list is what a slice would be.
func TestList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l list[element, *element]
		var model []*element
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				var forth, back []*element
				for e := l.first; e != nil; e = e.next {
					forth = append(forth, e)
				}
				for e := l.last; e != nil; e = e.prev {
					back = append(back, e)
				}
				slices.Reverse(back)
				if !slices.Equal(forth, model) || !slices.Equal(back, model) || l.n != len(model) {
					t.Fatalf("%v and %v, %d elements; want %v", forth, back, l.n, model)
				}
			},
			"push": func(*rapid.T) {
				n++
				e := &element{n: n}
				l.push(e)
				model = append(model, e)
			},
			"remove": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "i")
				l.remove(model[i])
				if model[i].in {
					t.Fatal("it still says that it is in the list")
				}
				model = slices.Delete(model, i, i+1)
			},
		})
	})
}
