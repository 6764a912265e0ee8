package throttler

import (
	"cmp"
	"slices"
)

// Share says which of the pods at addrs belong to the activator self when peers are all activators in the revision's path.
// It divides as Knative's activator does, so that activators of both kinds may share a revision: pods and activators are
// sorted; each activator takes an equal number of pods in a row, by its index; the pods left over at the end go to the
// first activators, one each. With more activators than pods the shares overlap, one pod each, so that none is empty. An
// activator that is not listed among peers takes all.
// The result is parallel to addrs; addrs and peers may come in any order, and are not changed.
func Share(addrs, peers []string, self string) []bool {
	own := make([]bool, len(addrs))
	order := make([]int, len(addrs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(addrs[a], addrs[b]), a-b) })
	sorted := slices.Compact(slices.Sorted(slices.Values(peers)))
	index, listed := slices.BinarySearch(sorted, self)
	pods, n := len(order), len(sorted)
	switch {
	case !listed || pods == 0:
	case pods < n:
		order = order[index%pods : index%pods+1]
	default:
		each, left := pods/n, pods%n
		mine := order[index*each : (index+1)*each]
		if index < left {
			mine = append(slices.Clone(mine), order[pods-left+index])
		}
		order = mine
	}
	for _, i := range order {
		own[i] = true
	}
	return own
}
