package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// ballot is what copies of the state have at one index: a hash of what they applied, or of the whole state.
type ballot struct {
	about  string // "after entry %d", for people
	index  uint64
	voters []string
	has    map[string]uint64 // by server ID; who is not in it has not said, or is not that far
}

// right returns the hash that more than half of the voters have. Whoever does not answer has none, so if
// there is one, those who have it are a quorum, and need none of those who have another.
func (b *ballot) right() (sum uint64, decided bool) {
	count := map[uint64]int{}
	for _, id := range b.voters {
		if sum, ok := b.has[id]; ok {
			if count[sum]++; count[sum] > len(b.voters)/2 {
				return sum, true
			}
		}
	}
	return 0, false
}

// differ reports whether two copies are different.
func (b *ballot) differ() bool {
	first, some := uint64(0), false
	for _, sum := range b.has {
		if some && sum != first {
			return true
		}
		first, some = sum, true
	}
	return false
}

// having returns the servers that have sum, or, with not, another one.
func (b *ballot) having(sum uint64, not bool) (out []string) {
	for _, id := range sortedKeys(b.has) {
		if (b.has[id] == sum) != not {
			out = append(out, id)
		}
	}
	return out
}

// sides says who has what.
func (b *ballot) sides(name func(server string) string) string {
	var sums []uint64
	for _, id := range sortedKeys(b.has) {
		if !slices.Contains(sums, b.has[id]) {
			sums = append(sums, b.has[id])
		}
	}
	var sides []string
	for _, sum := range sums {
		var names []string
		for _, id := range b.having(sum, false) {
			names = append(names, name(id))
		}
		sides = append(sides, fmt.Sprintf("%016x at %s", sum, strings.Join(names, " and ")))
	}
	return fmt.Sprintf("%s: the hash is %s", fmt.Sprintf(b.about, b.index), strings.Join(sides, ", "))
}
