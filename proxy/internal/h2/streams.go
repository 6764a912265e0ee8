package h2

import "slices"

// streams are the open ones, by ascending id: that is the order in which they are opened, and the oldest mostly end first.
type streams []*Stream

// keptStreams is for how many streams an idle connection keeps the room: 1 KiB.
const keptStreams = 128

func (t streams) find(id uint32) *Stream {
	if i := t.index(id); i < len(t) && t[i].ID == id {
		return t[i]
	}
	return nil
}

// index is where id is, or would be.
func (t streams) index(id uint32) int {
	low, high := 0, len(t)
	for low < high {
		if mid := (low + high) / 2; t[mid].ID < id {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (t *streams) remove(s *Stream) {
	i := t.index(s.ID)
	*t = slices.Delete(*t, i, i+1)
	if len(*t) == 0 && cap(*t) > keptStreams {
		*t = nil // what more it had in its busy time
	}
}
