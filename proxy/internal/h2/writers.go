package h2

// writers is the queue of streams that have content to write and window for it, and wait for the connection's window or its
// output. A doubly linked list, because streams leave it when they end.
type writers struct{ first, last *Stream }

func (q *writers) push(s *Stream) {
	s.queued = true
	if s.prev = q.last; s.prev != nil {
		s.prev.next = s
	} else {
		q.first = s
	}
	q.last = s
}

func (q *writers) remove(s *Stream) {
	if !s.queued {
		return
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		q.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		q.last = s.prev
	}
	s.queued, s.prev, s.next = false, nil, nil
}
