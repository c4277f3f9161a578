package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	prepareEvery    = 50 * time.Millisecond
	preparePatience = 3 * time.Second // for a leader to say that a relief comes
)

// PrepareStop announces that this node will stop soon, and sees to it that the farm keeps a majority then. A
// stand-by that has caught up takes this node's seat meanwhile; until Close or Leave the node takes part in
// everything else.
//
// If the voters that stay are no majority without this node, and some node could take its place, PrepareStop
// waits for that until ctx ends. It says so in the log and in State. In every other case it returns at once.
// Call it when the program begins to finish its work, and again when that is done: others may have stopped
// meanwhile. StayOn takes it back. Close and Leave look once more, Close for five seconds at most.
func (n *Node) PrepareStop(ctx context.Context) {
	if n.departure.step(func(g *goodbye) { g.retires = true }) {
		n.profile.change()
	}
	if s := n.members.situation(); len(s.Standbys()) > 0 {
		n.stopping.giveUpLead(s) // a leader cannot move its own seat
	}
	n.stopping.awaitRelief(ctx, n.end.begun.Load)
}

// StayOn takes PrepareStop back: this node is not about to stop any more. A vote that it has given away it
// does not get back, unless one is free. No PrepareStop may be running.
func (n *Node) StayOn() {
	if n.departure.stayOn() {
		n.profile.change()
	}
}

// awaitRelief waits until the farm has a majority without this node, or there is no sense in waiting. Who
// has waited in vain does not wait again.
func (sp *stopping) awaitRelief(ctx context.Context, closing func() bool) {
	began := time.Now()
	assured := began // when a leader said last that a relief comes
	for {
		lost := sp.lostWithout()
		sense := lost.text != "" && lost.relief && !closing() && !sp.departure.gaveUp() &&
			time.Since(assured) < preparePatience
		before := sp.departure.waitForRelief(lost.text, sense)
		switch {
		case lost.text == "" && before:
			sp.log.Info("the farm has a majority without this node now", "after",
				time.Since(began).Round(time.Millisecond))
			return
		case lost.text == "" || closing():
			return
		case !sense || ctx.Err() != nil:
			sp.departure.waitForRelief("", false)
			if ctx.Err() != nil {
				sp.departure.giveUp()
			}
			if lost.othersStay && sp.departure.noteLoss() {
				sp.log.Warn("this node stops, and the farm has no majority without it", "voters", lost.text)
			}
			return
		case !before:
			sp.log.Warn("the farm has no majority without this node, so its stop waits for a relief",
				"voters", lost.text)
		}
		switch comes, err := sp.moveVotes(ctx); {
		case errors.Is(err, ErrVersion): // the leader's program does not move seats
			assured = time.Time{}
		case comes:
			assured = time.Now()
		}
		sleep.For(ctx, prepareEvery)
	}
}

// loss is what the farm loses with this node.
type loss struct {
	text       string // which voters stay, if they are no majority; "" if they are
	othersStay bool   // some member does
	relief     bool   // and there would be a majority, once everybody votes who could
}

func (sp *stopping) lostWithout() (l loss) {
	in := sp.instance()
	if in.ctx.Err() != nil || sp.failure.get() != nil || sp.fit.err() != nil {
		return l // it is no use to the farm in any case
	}
	leaves := sp.departure.now().forGood || !sp.durable()
	s := sp.members.situation()
	if !s.Needed(s.Self, leaves) {
		return l
	}
	var stay []string
	for _, srv := range s.Servers {
		if srv.ID != s.Self && s.Stays(srv) {
			l.othersStay = true
			if srv.Votes {
				stay = append(stay, sp.members.nameOf(srv.ID))
			}
		}
	}
	voters, _ := s.Majority("", s.Lives)
	l.text = fmt.Sprintf("%d of %d stay: %s", len(stay), voters, strings.Join(stay, ", "))
	if len(stay) == 0 {
		l.text = fmt.Sprintf("none of %d stays", voters)
	}
	l.relief = s.ReliefComes(s.Self)
	return l
}

// moveVotes has a leader that stays move the votes. It reports whether that one says that a relief comes.
func (sp *stopping) moveVotes(ctx context.Context) (comes bool, err error) {
	in := sp.instance()
	if in.raft.State() != raft.Leader {
		return sp.voteComes(ctx)
	}
	return !sp.giveUpLead(sp.members.situation()), nil // the only voter promotes its relief itself
}

// giveUpLead hands over leadership if some other voter stays. It reports whether one does.
func (sp *stopping) giveUpLead(s *voting.Situation) bool {
	_, staying := s.Majority(sp.id, s.Stays)
	if staying > 0 {
		sp.handOver()
	}
	return staying > 0
}

// voteComes asks the leader whether a change is due that concerns this node's vote: it gets one, or it stops
// and its vote is not needed any more. An old program answers with ErrVersion.
func (sp *stopping) voteComes(ctx context.Context) (comes bool, err error) {
	in := sp.instance()
	err = in.askLeader(ctx, func(ctx context.Context, leader string) error {
		if leader == in.server {
			return wire.ErrNotLeader // it was not a moment ago
		}
		out, _, err := sp.peers.Call(ctx, wire.NodeOf(leader), wire.MethodVoteComes, []byte(in.server))
		if err != nil {
			return err
		}
		r := wire.NewReader(out)
		comes = r.Byte() != 0
		return r.End()
	})
	return comes && err == nil, err
}

// answerVoteComes is the leader's side of voteComes. A node can ask for itself only.
func (ld *leading) answerVoteComes(from wire.Hello, server string) ([]byte, error) {
	l := ld.now()
	switch {
	case from.Source != server:
		return nil, wire.ErrNotMe
	case l == nil:
		return nil, wire.ErrNotLeader
	}
	s := ld.node.members.situation()
	s.Left, s.DeadAfter = l.controlling.letGoSoFar(), ld.node.cfg.Tuning.DeadAfter
	if silent := l.controlling.silent.Load(); silent != nil {
		s.Silent = *silent
	}
	comes := s.VoteComes(server)
	if s.Votes(server) {
		comes = s.ReliefComes(server)
	}
	// The configuration that s has may be one that is not committed yet. It is asked after s was made, so
	// that no change begins unseen.
	return []byte{wire.BoolByte(comes || l.controlling.changing.Load())}, nil
}
