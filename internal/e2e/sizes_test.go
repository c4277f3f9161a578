//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// mostVoters is how many nodes of a farm vote; more of them stand by.
const mostVoters = 5

// Farms of other sizes than three, under load: nodes are stopped in order at random moments, two at once,
// one of them the leader; in the long form then each of them. No request is cut off. Then a node stands
// still for a while, wakes up and takes part; in the long form for up to a minute, and again and again.
func TestRoll_Sizes(t *testing.T) {
	plain(t)
	scenario(t)
	sizes := []int{5}
	if ci.Torture() {
		sizes = []int{3, 5, 7}
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, size, true)
			f.standby = max(size-mostVoters, 0)
			f.formTogether()
			l := f.load()
			l.mark()
			if size > 3 { // else the farm could not do without
				l.twoStop()
			}
			if ci.Torture() {
				l.allStop()
			}
			l.measured("stops in order")
			if n := l.tally.cutOff(); n > 0 {
				t.Errorf("%d requests were cut off while nodes were stopped in order; failed: %s", n, l.tally.failed())
			}
			for _, still := range l.freezes() {
				l.freeze(f.nodes[rand.IntN(size)], still)
			}
			l.finish()
			f.end()
		})
	}
}

// twoStop stops the leader and another node, the second one when the first may be anywhere in its drain.
func (l *load) twoStop() {
	f := l.farm
	f.t.Helper()
	first, second := f.leader(), f.follower()
	first.signal(first.terminate)
	sleep.For(l.ctx, rand.N(2*time.Second))
	second.signal(second.terminate)
	for _, n := range []*node{first, second} {
		n.stopped()
		n.again()
	}
	for _, n := range []*node{first, second} {
		n.awaitReady()
	}
	f.settleUnderLoad()
	l.goOn()
}

// allStop stops one node after the other, in a random order.
func (l *load) allStop() {
	f := l.farm
	f.t.Helper()
	for _, i := range rand.Perm(len(f.nodes)) {
		sleep.For(l.ctx, rand.N(time.Second))
		f.nodes[i].stop()
		f.nodes[i].again()
		f.nodes[i].awaitReady()
		f.settleUnderLoad()
	}
}

// freezes returns for how long nodes stand still.
func (l *load) freezes() []time.Duration {
	if !ci.Torture() {
		return []time.Duration{time.Second + rand.N(time.Second)}
	}
	return []time.Duration{time.Second, rand.N(10 * time.Second), rand.N(time.Minute), time.Minute}
}

// freeze has a node stand still for so long. Requests that it has then are lost to their clients' patience.
func (l *load) freeze(n *node, still time.Duration) {
	f := l.farm
	f.t.Helper()
	l.strike(func() { n.signal(n.freeze) })
	sleep.For(l.ctx, still)
	n.signal(n.thaw)
	n.awaitReady()
	f.settleUnderLoad()
	l.goOn()
	l.measured(fmt.Sprintf("%s frozen for %v", n.name, still.Round(time.Millisecond)))
}
