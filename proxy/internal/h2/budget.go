package h2

import "time"

// budget is how often a peer may do what costs us something and brings no request further.
type budget struct {
	left  int32
	most  int32
	since time.Time // when it was full
}

func (b *budget) init(n int32, now time.Time) { *b = budget{left: n, most: n, since: now} }

// earn gives back up to n, but no more than there was at the beginning.
func (b *budget) earn(n int) { b.left = int32(min(int64(b.left)+int64(n), int64(b.most))) }

// spend reports whether there was enough left. If not, and it was full long enough ago, it is filled first.
func (b *budget) spend(n int, now func() time.Time) bool {
	if int(b.left) < n && now != nil {
		if t := now(); t.Sub(b.since) >= renewal {
			b.left, b.since = b.most, t
		}
	}
	if int(b.left) < n {
		return false
	}
	b.left -= int32(n)
	return true
}
