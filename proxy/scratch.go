package proxy

// smallBuffer is enough for most bodies, and for what a stream of events says at a time.
const smallBuffer = 2 << 10

// scratch is room for what is copied from a source that may say much or little: what has filled the small buffer gets the
// large one, until it says little again.
type scratch struct {
	h     *Handler
	small *[smallBuffer]byte
	large *[copyBuffer]byte
}

// next is where to read to after n bytes have come, or when n are expected.
func (s *scratch) next(n int) []byte {
	if n >= smallBuffer {
		if s.large == nil {
			s.large = s.h.buffer()
		}
		return s.large[:]
	}
	s.rest()
	if s.small == nil {
		s.small = s.h.smalls.Get().(*[smallBuffer]byte)
	}
	return s.small[:]
}

func (s *scratch) rest() {
	if s.large != nil {
		s.h.putBuffer(s.large)
		s.large = nil
	}
}

// free is the last: nothing of what next gave may be used any more.
func (s *scratch) free() {
	s.rest()
	if s.small != nil {
		s.h.smalls.Put(s.small)
		s.small = nil
	}
}
