package cluster

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	controlEvery  = 250 * time.Millisecond
	changeTimeout = 5 * time.Second
)

// controlling keeps the voters.
type controlling struct {
	*tenure
	founding *founding
	raising  *raising
	kick     chan struct{} // holds one: somebody has come or gone
	changing atomic.Bool   // a change of the configuration is under way, and may come to nothing
	// for how long each server was silent at the last look
	silent atomic.Pointer[map[string]time.Duration]

	mu   sync.Mutex
	left map[string]uint64 // servers removed at their own request in this term, with their boot counters
}

func newControlling(t *tenure, fo *founding, r *raising) *controlling {
	return &controlling{tenure: t, founding: fo, raising: r, kick: make(chan struct{}, 1),
		left: map[string]uint64{}}
}

// run brings the configuration, one change at a time, to what it should be, for as long as this node
// leads.
func (ct *controlling) run() {
	seen := map[string]uint64{}      // what this node had at its last look, for each non-voter that answered
	silent := map[string]time.Time{} // since when nobody has had contact to a server
	for {
		ct.founding.record()
		ct.raising.overdue()
		s := ct.in.node.members.situation()
		s.Left, s.Silent, s.DeadAfter = ct.letGoSoFar(), ct.silence(s, silent), ct.in.node.cfg.Tuning.DeadAfter
		ct.silent.Store(&s.Silent)
		s.CaughtUp = ct.caughtUp(s, seen)
		if c := s.Plan(); c.Kind != voting.Keep {
			if err := ct.carryOut(c); err != nil {
				ct.in.log.Debug("change of the configuration failed", keyServer, c.Server, keyError, err)
			} else {
				ct.in.node.changed.Notify()
				continue
			}
		}
		select {
		case <-time.After(controlEvery):
		case <-ct.kick:
		case order := <-ct.raising.orders:
			order <- ct.raising.raiseLevel()
		case <-ct.ctx.Done():
			return
		}
	}
}

// caughtUp returns the non-voters that have all that this node had at the look before, and notes in seen what
// it has now. To ask for what it has now would be too much: a follower learns with the next append that an
// entry is committed, so under load it is always behind by some, and would never get its vote. As long as
// nobody has to take a vote or a seat, nobody is asked.
func (ct *controlling) caughtUp(s *voting.Situation, seen map[string]uint64) map[string]bool {
	out := map[string]bool{}
	index, _ := ct.in.fsm.View()
	if !s.LacksVoter() && !s.AnyDead() && !s.AnyRelief() {
		clear(seen)
		return out
	}
	applied := ct.applied(s.Standbys())
	maps.DeleteFunc(seen, func(id string, _ uint64) bool { _, ok := applied[id]; return !ok })
	for id, now := range applied {
		before, looked := seen[id]
		out[id] = looked && now >= before
		seen[id] = index
	}
	return out
}

// appliedPatience is how long the leader waits for a server to say how far it is.
const appliedPatience = time.Second

// applied asks servers, all at once, how far they are. Who does not say is not in the answer: it costs the
// others nothing.
func (ct *controlling) applied(servers []string) map[string]uint64 {
	ctx, cancel := context.WithTimeout(ct.ctx, appliedPatience)
	defer cancel()
	var mu sync.Mutex
	out := map[string]uint64{}
	atOnce(servers, func(id string) {
		if st, err := ct.in.node.members.statusOf(ctx, wire.NodeOf(id)); err == nil && st.server == id {
			mu.Lock()
			defer mu.Unlock()
			out[id] = st.applied
		}
	})
	return out
}

func (ct *controlling) carryOut(c voting.Change) error {
	ct.changing.Store(true)
	defer ct.changing.Store(false)
	r, id, addr := ct.in.raft, raft.ServerID(c.Server), raft.ServerAddress(c.Server)
	take := ct.in.handing.latest.takeVote
	switch c.Kind {
	case voting.AddNonvoter:
		return ct.in.guard(r.AddNonvoter(id, addr, 0, changeTimeout))
	case voting.Promote:
		return ct.in.guard(r.AddVoter(id, addr, 0, changeTimeout))
	case voting.Demote:
		return take(c.Server, func() error { return ct.in.guard(r.DemoteVoter(id, 0, changeTimeout)) })
	case voting.Remove:
		return take(c.Server, func() error { return ct.in.guard(r.RemoveServer(id, 0, changeTimeout)) })
	default:
		return nil
	}
}

// silence returns for how long neither gossip nor Raft has had contact to each server, as far as this leader
// can say.
func (ct *controlling) silence(s *voting.Situation, since map[string]time.Time) map[string]time.Duration {
	out := map[string]time.Duration{}
	now := time.Now()
	for _, srv := range s.Servers {
		id := srv.ID
		if s.Lives(srv) || !ct.in.leading.unanswered.has(id) {
			delete(since, id)
			continue
		}
		if since[id].IsZero() {
			since[id] = now
		}
		out[id] = now.Sub(since[id])
	}
	return out
}

func (ct *controlling) letGoSoFar() map[string]uint64 {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	return maps.Clone(ct.left)
}

// letGo notes that a run of a node is stopping, so that it is not taken in again; the next run may be.
func (ct *controlling) letGo(server string, boot uint64) {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	ct.left[server] = boot
}

// farewell takes a stopping node out of the configuration, or takes its vote; boot is the counter of the run
// that stops.
func (ct *controlling) farewell(ctx context.Context, kind voting.Kind, server string, boot uint64) error {
	if err := ct.await(ctx); err != nil {
		return err
	}
	ct.letGo(server, boot)
	switch srv := ct.in.node.members.situation().Server(server); {
	case srv == nil || !srv.Votes && kind == voting.Demote:
		return nil
	case srv.Votes && len(ct.in.voters()) == 1:
		return fmt.Errorf("%s is the only voter: %w", server, wire.ErrInternal)
	}
	return ct.carryOut(voting.Change{Kind: kind, Server: server})
}

// answerFarewell is the leader's side of a node's request to be let go. A node can ask for itself only.
func (ld *leading) answerFarewell(ctx context.Context, from wire.Hello, kind voting.Kind,
	server string) error {
	if wire.NodeOf(from.Source) != wire.NodeOf(server) {
		return wire.ErrNotMe
	}
	l := ld.now()
	if l == nil {
		return wire.ErrNotLeader
	}
	return l.controlling.farewell(ctx, kind, server, from.Boot)
}

const (
	votersEvery    = 5 * time.Second
	votersPatience = time.Minute // for the leader to do what this node would
)

// watchVoters says so if other numbers of nodes vote, for a while and with everybody there, than would if
// this node led. The farm is right all the same, since whoever leads decides; but each change of the leader
// changes the voters.
func (m *members) watchVoters() {
	var since time.Time
	for sleep.For(m.ctx, votersEvery) {
		voters, wanted, settled := m.situation().Settled()
		if !settled || voters == wanted {
			since = time.Time{}
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) >= votersPatience {
			m.warnOnce("voters", "the leader lets another number of nodes vote than this node would. Give "+
				"all nodes the same MaxVoters.",
				fmt.Errorf("%d vote, and with MaxVoters %d there would be %d", voters, m.cfg.Tuning.MaxVoters,
					wanted))
		}
	}
}
