package configsync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// ballot asks the members to make a release ready, and decides.
type ballot struct {
	*base
	board   *board
	r       Rollout
	digest  digest
	begun   time.Time
	asked   map[string]bool
	ready   map[string]bool
	refused map[string]string
	away    map[string]time.Time // since when a member cannot be reached
	votes   chan Vote
	first   time.Time // of the first refusal
}

func newBallot(b *base, board *board, r Rollout) *ballot {
	s := b.state()
	release, _ := s.Release(r.Release)
	return &ballot{base: b, board: board, r: r, digest: s.Digest(release), begun: time.Now(), asked: map[string]bool{},
		ready: map[string]bool{}, refused: map[string]string{}, away: map[string]time.Time{},
		votes: make(chan Vote)}
}

// gather returns who is ready, and who was not heard; or why the rollout is to be given up.
func (b *ballot) gather(ctx context.Context) (ready, absent []string, why string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(decideTick)
	defer tick.Stop()
	for {
		members := b.members()
		for _, member := range members {
			if !b.asked[member.Name] {
				b.asked[member.Name] = true
				go b.ask(ctx, member.Name)
			}
		}
		if decided, ready, absent, why := b.decide(members); decided {
			return ready, absent, why
		}
		select {
		case v := <-b.votes:
			b.take(v)
		case <-tick.C:
		case <-ctx.Done():
			return nil, nil, ""
		}
	}
}

// members returns those who are asked.
func (b *ballot) members() []Member {
	members := b.settings.Peers.Members()
	if nodes := b.r.Plan.Nodes; len(nodes) > 0 {
		members = slices.DeleteFunc(members, func(m Member) bool { return !slices.Contains(nodes, m.Name) })
	}
	return members
}

// ask asks a member until it gives a vote.
func (b *ballot) ask(ctx context.Context, node string) {
	for {
		v, err := b.settings.Peers.Stage(ctx, node, b.r.ID, func(p NodeProgress) {
			b.board.note(b.r.ID, node, func(n *NodeProgress) { p.Node = node; *n = p })
		})
		if err == nil {
			v.Node = node
			select {
			case b.votes <- v:
			case <-ctx.Done():
			}
			return
		}
		if sleep.For(ctx, askAgain); ctx.Err() != nil {
			return
		}
	}
}

func (b *ballot) take(v Vote) {
	why := v.Refused
	if why == "" && (v.Digest != b.digest || v.Rollout != b.r.ID) {
		why = "it has made something else ready"
	}
	if why == "" {
		b.ready[v.Node] = true
	} else {
		b.refused[v.Node] = why
		if b.first.IsZero() {
			b.first = time.Now()
		}
	}
	b.board.note(b.r.ID, v.Node, func(n *NodeProgress) {
		if n.Refused = why; why == "" {
			n.Step = max(n.Step, StepReady)
		}
	})
}

// decide looks at what is known by now.
func (b *ballot) decide(members []Member) (decided bool, ready, absent []string, why string) {
	waiting := map[string]string{} // for whom, that can be reached
	for _, m := range members {
		reachable := m.Reachable
		b.board.note(b.r.ID, m.Name, func(n *NodeProgress) { n.Unreachable = !reachable })
		if _, was := b.away[m.Name]; m.Reachable {
			delete(b.away, m.Name)
		} else if !was {
			b.away[m.Name] = time.Now()
		}
		switch {
		case b.ready[m.Name]:
			ready = append(ready, m.Name)
		case b.refused[m.Name] != "":
		case m.Reachable:
			waiting[m.Name] = "not ready"
		default:
			absent = append(absent, m.Name)
		}
	}
	late := time.Since(b.begun) >= b.r.Plan.Stage
	switch {
	case len(members) == 0:
		return late, nil, nil, "no members are known"
	case len(b.refused) > 0:
		enough := late || !b.r.Plan.Dry && time.Since(b.first) >= linger
		return len(waiting) == 0 || enough, nil, nil, listed("", b.refused)
	case len(waiting) > 0:
		return late, nil, nil, listed(fmt.Sprintf("not ready within %v", b.r.Plan.Stage), waiting)
	}
	decided, why = b.without(members, len(ready), absent)
	return decided, ready, absent, why
}

// without decides when all that can be reached are ready.
func (b *ballot) without(members []Member, ready int, absent []string) (decided bool, why string) {
	needed := int(min(b.r.Plan.MinReady, state.MaxNodes))
	if needed == 0 {
		needed = len(members)/2 + 1
	}
	needed = max(needed, len(b.r.Plan.Nodes)) // a canary is for all of them
	fenced := true
	for _, node := range absent {
		fenced = fenced && time.Since(b.away[node]) >= silence
	}
	waited := time.Since(b.begun) >= b.r.Plan.Wait
	switch {
	case len(absent) > 0 && !waited:
		return false, ""
	case len(absent) > 0 && b.r.Plan.Unreachable == Refuse:
		return true, "cannot be reached: " + strings.Join(absent, ", ")
	case ready < needed:
		return waited, fmt.Sprintf("%d of the %d nodes that are needed are ready", ready, needed)
	case b.r.Plan.Unreachable == Fence && !fenced:
		return false, ""
	}
	return true, ""
}

// listed names nodes and what they say, those together that say the same; "" for none.
func listed(what string, nodes map[string]string) string {
	var says []string // in the order of the first node that says it
	who := map[string][]string{}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		say := nodes[node]
		if who[say] == nil {
			says = append(says, say)
		}
		who[say] = append(who[say], node)
	}
	if len(says) == 0 {
		return ""
	}
	for i, say := range says {
		says[i] = strings.Join(who[say], ", ") + ": " + say
	}
	if what != "" {
		what += ": "
	}
	return what + strings.Join(says, "; ")
}
