package netio

// SpliceMost is how much is moved at a time at most. With a quarter of it a GiB costs a third more.
const SpliceMost = 1 << 20

// Source is what a Splice has to know of where its bytes come from.
type Source interface {
	// Pending reports that some have been read already, which go first.
	Pending() bool
	// Moved is told of n bytes that have been taken, or given.
	Moved(n int)
}
