package proxy

// links are what an element of a list has in it.
type links[T any] struct {
	prev, next *T
	in         bool
}

type linked[T any] interface {
	*T
	link() *links[T]
}

// list is a list of what has its links itself, so that to add and to remove takes no memory and no search. An element is in one
// list at most.
type list[T any, P linked[T]] struct {
	first, last *T
	n           int
}

// push adds x at the end.
func (l *list[T, P]) push(x P) {
	*x.link() = links[T]{prev: l.last, in: true}
	if l.last != nil {
		P(l.last).link().next = x
	} else {
		l.first = x
	}
	l.last = x
	l.n++
}

func (l *list[T, P]) remove(x P) {
	k := x.link()
	if k.prev != nil {
		P(k.prev).link().next = k.next
	} else {
		l.first = k.next
	}
	if k.next != nil {
		P(k.next).link().prev = k.prev
	} else {
		l.last = k.prev
	}
	*k = links[T]{}
	l.n--
}
