package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// A farm keeps its lineage for life. When it is re-formed, after the loss of its quorum or from a backup, it
// begins a new epoch under a new cluster ID: lineage, epoch and a random part, joined by dashes. The first
// cluster ID is the lineage alone. A node of an earlier epoch that meets a later one gives up its state and
// joins; see meet.go.

// epochOf returns the parts of a cluster ID that a farm was given here. Anything else is a lineage of its
// own.
func epochOf(cluster string) (lineage string, epoch uint64) {
	parts := strings.Split(cluster, "-")
	if len(parts) != 3 {
		return cluster, 0
	}
	epoch, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return cluster, 0
	}
	return parts[0], epoch
}

// nextEpoch returns a cluster ID for what cluster becomes. The random part tells two re-formings of one epoch
// apart, which only an operator can bring about.
func nextEpoch(cluster string) string {
	lineage, epoch := epochOf(cluster)
	return fmt.Sprintf("%s-%d-%s", lineage, epoch+1, randomHex(4))
}

// forked reports whether the farms called a and b became of one, apart from each other.
func forked(a, b string) bool {
	la, ea := epochOf(a)
	lb, eb := epochOf(b)
	return a != "" && a != b && la == lb && ea == eb
}

// supersedes reports whether the farm called a is what the farm called b became.
func supersedes(a, b string) bool {
	la, ea := epochOf(a)
	lb, eb := epochOf(b)
	return a != "" && la == lb && ea > eb
}
