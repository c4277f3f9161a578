package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Every copy of the state should be the same: the log is, and state machines are deterministic. The leader
// sees whether it is so. It asks the other copies for their hash (internal/replica) at an index that all have
// passed. What most voters have is right. A copy that has something else is told to begin anew from the
// others (resync.go), one at a time. If the leader's own is wrong, it hands over first. If no hash has a
// majority, nobody can tell which copy is right. Then nothing is given up, the farm takes no writes, and
// people decide.

const (
	compareEvery = 2 * time.Second
	compareSoon  = 500 * time.Millisecond // while copies differ
	comparePause = 5 * time.Second        // after a copy was told to begin anew

	joinPatience = time.Minute // for those who are joining when a wrong copy is found
)

// comparison is the leader's part.
type comparison struct {
	*tenure
	flights *flights
	proving *proving
	marked  time.Time // when there was the last mark
	// server IDs of those whose copy was last the same as here; see right
	same    atomic.Pointer[map[string]bool]
	agreed  map[string]testimony  // by server ID: what was last the same as here
	told    map[string]divergence // by server ID
	failed  map[string]bool       // server IDs of those who have failed for good
	sides   string                // who is known to differ from whom
	ordered time.Time             // when a copy was told to begin anew
	state   replica.Point         // the newest hash of a whole state here,
	since   time.Time             // and since when there is that
	found   time.Time             // when the present difference was found
}

// How long others may take to hash their states, once the leader has hashed its own. A node that has
// restarted meanwhile never does.
const (
	hashPatience  = time.Minute      // before a difference that they could decide counts as undecided
	statePatience = 10 * time.Minute // before they are not asked any more
)

func newComparison(t *tenure, f *flights, p *proving) *comparison {
	return &comparison{tenure: t, flights: f, proving: p, agreed: map[string]testimony{},
		told: map[string]divergence{}, failed: map[string]bool{}}
}

// run compares the copies for as long as this node leads.
func (c *comparison) run() {
	for pause := compareSoon; sleep.For(c.ctx, pause); {
		if pause = compareEvery; c.in.fsm.Level() >= wire.LevelSafety {
			c.round()
			c.mark()
		}
		if c.in.witness.divergence() != (divergence{}) {
			pause = compareSoon
		}
	}
}

// round compares once. A copy that was the same is not asked again before something has happened.
func (c *comparison) round() {
	in := c.in
	c.prune()
	defer c.publish()
	mine, known := in.witness.testify(math.MaxUint64), in.witness.divergence()
	if mine.state != c.state {
		c.state, c.since = mine.state, time.Now()
	}
	said := c.ask(mine.chain.Index, func(id string) bool {
		told, ok := c.told[id]
		return !ok || told != known || known != (divergence{}) || c.agreed[id].chain != mine.chain ||
			c.agreed[id].state != mine.state && time.Since(c.since) < statePatience
	})
	at, differ := mine.chain.Index, false
	for id, t := range said {
		own := testimony{in.fsm.PointAt(t.chain.Index), mine.state}
		if own.chain == t.chain {
			c.agreed[id] = t
		} else if own.chain.Index == t.chain.Index {
			delete(c.agreed, id)
		}
		if t.chain.Index > 0 && own.chain.Index == t.chain.Index {
			at, differ = min(at, t.chain.Index), differ || t.chain.Sum != own.chain.Sum
		}
		differ = differ || t.state.Index > 0 && t.state.Index == own.state.Index &&
			t.state.Sum != own.state.Sum
	}
	if !differ && known == (divergence{}) {
		return
	}
	if at < mine.chain.Index { // all are to say what they had at one index
		said = c.ask(at, func(string) bool { return true })
	}
	own := testimony{in.fsm.PointAt(at), mine.state}
	b := c.ballot("after entry %d", own.chain, said, func(t testimony) replica.Point { return t.chain })
	if s := c.ballot("state at entry %d", own.state, said,
		func(t testimony) replica.Point { return t.state }); !b.differ() && s.differ() {
		b = s
		if _, decided := b.right(); !decided && c.hashing(said) && known == (divergence{}) {
			return
		}
	}
	c.conclude(b, said)
}

// prune forgets servers that are neither configured nor a member's present incarnation.
func (c *comparison) prune() {
	keep := map[string]bool{}
	for _, srv := range c.in.configuration().Servers {
		keep[string(srv.ID)] = true
	}
	for _, s := range c.in.node.members.all() {
		keep[s.Server()] = true
	}
	maps.DeleteFunc(c.agreed, func(id string, _ testimony) bool { return !keep[id] })
	maps.DeleteFunc(c.told, func(id string, _ divergence) bool { return !keep[id] })
	maps.DeleteFunc(c.failed, func(id string, failed bool) bool { return !keep[id] || !failed })
}

// publish says whose copy is the same as here; see right.
func (c *comparison) publish() {
	same := map[string]bool{}
	for id := range c.agreed {
		same[id] = true
	}
	c.same.Store(&same)
}

// hashing reports whether somebody may still be about to hash the state that this node has hashed.
func (c *comparison) hashing(said map[string]testimony) bool {
	return time.Since(c.since) < hashPatience && slices.ContainsFunc(c.live(), func(id string) bool {
		return said[id].state.Index < c.state.Index
	})
}

// ballot sets what others said beside what this copy has at the same index.
func (c *comparison) ballot(about string, own replica.Point, said map[string]testimony,
	of func(testimony) replica.Point) *ballot {
	b := &ballot{about: about, index: own.Index, voters: c.in.voters(), has: map[string]uint64{}}
	if own.Index == 0 {
		return b
	}
	b.has[c.in.server] = own.Sum
	for id, t := range said {
		if p := of(t); p.Index == own.Index {
			b.has[id] = p.Sum
		}
	}
	return b
}

// conclude does what follows from a ballot.
func (c *comparison) conclude(b *ballot, said map[string]testimony) {
	in := c.in
	sum, decided := b.right()
	wrong := b.having(sum, true)
	if decided {
		for _, id := range wrong {
			delete(c.agreed, id) // it may be its state alone that is wrong
		}
		c.publish()
	}
	switch {
	case !decided && !b.differ(): // too few have said anything
	case !decided:
		c.find(b, true, "no majority of the voters has the same, so the farm takes no writes: decide which "+
			"copy is right, and have "+
			"the other nodes leave by farmctl leave, or stop them and use farmctl recover")
		if time.Since(c.found) > time.Minute {
			in.node.warnOnce("undecided", "the farm takes no writes until people decide which copy of its "+
				"state is right", in.witness.divergence().err())
		}
	case b.has[in.server] != sum:
		c.find(b, true, "the leader's copy is wrong, so it hands over")
		c.handOver(b.having(sum, false))
	case len(wrong) > 0:
		c.find(b, false, "the majority is right; "+c.name(wrong[0])+" begins anew")
		c.tellToResync(wrong[0], b.having(sum, false), said)
	case c.allHeard(said):
		c.sides = ""
		in.witness.setDivergence(divergence{})
	case in.witness.divergence().stop:
		c.find(b, false, "it is decided; somebody has still to join")
	}
}

// find notes what a ballot has shown, and what follows. It changes nothing as long as the same copies differ.
func (c *comparison) find(b *ballot, stop bool, then string) {
	var camps []string
	for _, id := range sortedKeys(b.has) {
		camps = append(camps, strings.Join(b.having(b.has[id], false), " "))
	}
	sides := fmt.Sprint(stop, then, slices.Compact(slices.Sorted(slices.Values(camps))))
	if sides != c.sides {
		c.sides, c.found = sides, time.Now()
		c.in.witness.setDivergence(divergence{stop: stop, text: b.sides(c.name) + "; " + then})
	}
}

// ask puts the question to the live servers that are chosen.
func (c *comparison) ask(index uint64, chosen func(server string) bool) map[string]testimony {
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	said := map[string]testimony{}
	now := c.in.witness.divergence()
	var mu sync.Mutex // of what is written by those who ask
	atOnce(slices.DeleteFunc(c.live(), func(id string) bool { return !chosen(id) }), func(id string) {
		t, err := c.askOne(ctx, question{server: id, index: index, divergence: now})
		mu.Lock()
		defer mu.Unlock()
		if c.failed[id] = errors.Is(err, ErrClosed); err == nil {
			said[id], c.told[id] = t, now
		}
	})
	return said
}

func (c *comparison) askOne(ctx context.Context, q question) (testimony, error) {
	out, _, err := c.in.node.peers.Call(ctx, wire.NodeOf(q.server), wire.MethodCompare, q.append(nil))
	if err != nil {
		return testimony{}, err
	}
	return parseTestimony(out)
}

// live returns the other configured servers that gossip takes for alive.
func (c *comparison) live() (out []string) {
	for _, srv := range c.in.configuration().Servers {
		id := string(srv.ID)
		if s := c.in.node.directory.Get(wire.NodeOf(id)); id != c.in.server && s != nil &&
			s.Status == roster.Alive && s.Server() == id {
			out = append(out, id)
		}
	}
	return out
}

// allHeard reports whether every member that is alive has said what its copy is. One that begins anew has
// not, until it has joined again.
func (c *comparison) allHeard(said map[string]testimony) bool {
	in := c.in
	for _, s := range in.node.members.all() {
		id := s.Server()
		if s.Status == roster.Alive && !s.Leaving && id != in.server && !c.failed[id] &&
			said[id].chain.Index == 0 {
			return false
		}
	}
	return true
}

// tellToResync has the copy of a server begin anew. Those whose copy is right must be a quorum that has
// stored the whole log at this moment: the ballot was about an index that may be long past. It waits for
// members that are joining, since a former leader may have told one of them to begin anew. It does not wait
// for ever, since the wrong copy is read meanwhile.
func (c *comparison) tellToResync(server string, right []string, said map[string]testimony) {
	if !c.allHeard(said) && time.Since(c.found) < joinPatience || time.Since(c.ordered) < comparePause {
		return
	}
	if err := c.proving.quorumWithout(server,
		func(id string) bool { return slices.Contains(right, id) }); err != nil {
		c.in.node.warnOnce("without "+server,
			"a copy of the state that differs does not begin anew: the others have no quorum without "+
				"it, of nodes that have all of the log", fmt.Errorf("%s: %w", c.name(server), err))
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	c.ordered = time.Now()
	order := wire.AppendString(wire.AppendString(nil, server), c.in.witness.divergence().text)
	if _, _, err := c.in.node.peers.Call(ctx, wire.NodeOf(server), wire.MethodResync, order); err != nil {
		c.in.node.warnOnce("resync "+server,
			"a copy of the state that differs could not be told to begin anew; trying again",
			fmt.Errorf("%s: %w", c.name(server), err))
	}
}

// handOver has one of those lead whose copy is right.
func (c *comparison) handOver(right []string) {
	in := c.in
	for _, id := range right {
		if !slices.Contains(in.voters(), id) {
			continue
		}
		if !begun(in.handing.transfer(id)) {
			continue
		}
		for end := time.Now().Add(transferPatience); time.Now().Before(end); {
			if !sleep.For(c.ctx, 10*time.Millisecond) {
				return
			}
		}
	}
}

func (c *comparison) name(server string) string {
	if s := c.in.node.directory.Get(wire.NodeOf(server)); s != nil {
		return s.Name
	}
	return server
}
