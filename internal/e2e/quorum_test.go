package e2e

import (
	"slices"
	"testing"
)

// Two of three nodes in memory are killed at once and started again: the third one carries the farm on with all that it has,
// which is everything, as nothing was under way. Sessions, and the cookies they are known by, go on.
func TestMemoryQuorumLost(t *testing.T) {
	scenario(t)
	f := newFarm(t, 3, false)
	f.formTogether()
	first := f.load()
	first.goOn()
	first.halt()
	f.settle()
	others := f.followers()
	lost := slices.DeleteFunc(slices.Clone(f.nodes), func(n *node) bool { return n == others[0] }) // the leader among them
	for _, n := range lost {
		n.kill()
	}
	for _, n := range lost {
		n.again()
	}
	for _, n := range f.nodes {
		n.awaitReady()
	}
	first.audit()
	second := f.load()
	killAndRestart(second, f.leader())
	second.finish()
	f.end()
}
