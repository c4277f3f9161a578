package swarm

import (
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

const (
	copies     = 2                // of a blob that a node sends before it lets others do it
	turnLength = 2 * time.Second  // for which one gets a blob alone, and for which nothing need move
	turnSlow   = 30 * time.Second // after which one who still gets it holds up nobody
	turnMemory = 10 * time.Minute // for which a copy counts
	mostTurns  = 100_000          // blobs that are remembered
)

// The answers of a node that does not send a blob now.
const (
	turnBusy  = "busy"  // it is being sent to somebody
	turnSpent = "spent" // it was sent often enough: others have it
	turnFull  = "full"  // too much is being sent
)

// turns sees to it that a blob spreads like a tree: who has it sends it twice, one after the other, and those
// who got it do the same. So whoever has a new release first sends it twice, whatever the number of nodes,
// and nobody waits long.
type turns struct {
	length, slow time.Duration // turnLength and turnSlow, but for tests

	mu  sync.Mutex
	of  map[blob.Hash]*turn // guarded by mu
	aim int                 // at how many they are gone through next; guarded by mu
}

type turn struct {
	sent, sending int
	began, last   time.Time // of the last copy: its beginning, and when something of any copy was sent
}

// moving reports whether a copy is under way that will soon be somebody's.
func (t *turns) moving(n *turn, now time.Time) bool {
	return n.sending > 0 && now.Sub(n.last) < t.length && now.Sub(n.began) < t.slow
}

func (t *turns) init() {
	t.length, t.slow = turnLength, turnSlow
	t.of, t.aim = make(map[blob.Hash]*turn), 1024
}

// take begins a copy, which done ends; or it says why not.
func (t *turns) take(h blob.Hash, insist bool, now time.Time) (why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.of[h]
	if n == nil || n.sending == 0 && now.Sub(n.last) > turnMemory {
		t.pruneLocked(now)
		n = new(turn)
		t.of[h] = n
	}
	switch moving := t.moving(n, now); {
	case moving && (n.sent+n.sending >= copies || now.Sub(n.began) < t.length):
		return turnBusy
	case n.sent >= copies && !insist:
		return turnSpent
	}
	n.sending++
	n.began, n.last = now, now
	return ""
}

// moved notes that a copy goes on.
func (t *turns) moved(h blob.Hash, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.of[h]; n != nil {
		n.last = now
	}
}

// done ends what take began. Only whole copies count: of another one the rest is still to be sent.
func (t *turns) done(h blob.Hash, whole bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.of[h]
	if n == nil { // so many blobs that none of them is remembered
		return
	}
	n.sending = max(n.sending-1, 0)
	n.last = now
	if whole {
		n.sent++
	}
}

// pruneLocked makes room for one more.
func (t *turns) pruneLocked(now time.Time) {
	if len(t.of) < t.aim {
		return
	}
	for h, n := range t.of {
		if n.sending == 0 && now.Sub(n.last) > turnMemory {
			delete(t.of, h)
		}
	}
	if len(t.of) >= mostTurns {
		clear(t.of)
	}
	t.aim = min(max(2*len(t.of), 1024), mostTurns)
}
