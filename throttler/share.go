package throttler

import "slices"

// Share says which of the pods belong to the activator self when peers are all the activators in the path: both are
// sorted, and each activator takes a contiguous part of the pods by its index. With more activators than pods the
// shares overlap, one pod each, so that none is empty. An activator that is not listed yet takes all.
// The answer is parallel to ids; ids and peers may come in any order, and are left as they are.
func Share(ids, peers []string, self string) []bool {
	own := make([]bool, len(ids))
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case ids[a] < ids[b]:
			return -1
		case ids[a] > ids[b]:
			return 1
		}
		return a - b
	})
	first, end := shareBounds(len(ids), peers, self)
	for _, i := range order[first:end] {
		own[i] = true
	}
	return own
}

func shareBounds(pods int, peers []string, self string) (first, end int) {
	sorted := slices.Compact(slices.Sorted(slices.Values(peers)))
	i, listed := slices.BinarySearch(sorted, self)
	switch n := len(sorted); {
	case !listed || pods == 0:
		return 0, pods
	case pods < n:
		return i % pods, i%pods + 1
	default:
		return i * pods / n, (i + 1) * pods / n
	}
}
