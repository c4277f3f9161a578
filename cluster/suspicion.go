package cluster

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// suspicion is the failure hint: the process of the leader is gone. All who have the hint give the leader up
// at one moment, and ask for votes one after the other. See DESIGN.md, Failure hint.
type suspicion struct {
	mu     sync.Mutex
	leader string    // server ID; "" = nobody is suspected
	giveUp time.Time // when the followers give it up
	rank   int       // this node's turn among those who ask for votes
}

// begin notes whom a node suspects, and reports whether that is news. then is called with the lock held, so
// that after a begin and an end at one moment the heartbeat timeout is what the later one wants.
func (s *suspicion) begin(leader string, giveUp time.Time, rank int, then func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leader == leader {
		return false
	}
	s.leader, s.giveUp, s.rank = leader, giveUp, rank
	then()
	return true
}

// end forgets it, and calls then with the lock held.
func (s *suspicion) end(then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = ""
	then()
}

// during calls then with the lock held if this leader is the one suspected, and reports whether it is.
func (s *suspicion) during(leader string, then func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leader != leader {
		return false
	}
	then()
	return true
}

// of reports whether this leader is the one suspected.
func (s *suspicion) of(leader string) bool { return s.during(leader, func() {}) }

// turn is when a candidate may ask for votes; the zero time without a suspicion.
func (s *suspicion) turn(each time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leader == "" {
		return time.Time{}
	}
	return s.giveUp.Add(each/4 + time.Duration(s.rank)*each)
}

// suspecting gives a leader up, and has this node ask for votes in its turn.
type suspecting struct {
	*core
	tuner     *tuner
	pacing    *pacing
	suspected *suspicion
}

// suspectLeader is told that a node's process is gone, by gossip or because its port refuses connections. If
// that node leads, a follower waits half as long for its next heartbeat, until there is a leader again. A
// false hint does no harm: the others, who hear the leader, refuse the pre-vote.
func (s *suspecting) suspectLeader(node string) {
	leader, _ := s.leader.get()
	if wire.NodeOf(leader) != node || leader == s.server {
		return
	}
	half := s.pacing.heartbeatTimeout() / 2 // not less than the leader's lease
	shorten := func() { s.tuner.setHeartbeat(half) }
	if s.suspected.begin(leader, time.Now().Add(half), s.rankBeside(leader), shorten) {
		// not one of s.wg: who tells of it is none of the instance's, which may be at its end
		s.node.spawn(func() { s.giveLeaderUp(leader, half) })
	}
}

// rankBeside is this node's place in the order in which those who vote ask for votes, once the leader is
// gone.
func (s *suspecting) rankBeside(leader string) int {
	return slices.Index(slices.DeleteFunc(slices.Sorted(slices.Values(s.voters())),
		func(voter string) bool { return voter == leader }), s.server)
}

// giveLeaderUp has raft look at the end of that time whether the leader's heartbeat is still missing. By
// itself raft would look up to twice as late, each node in its own moment, and who looks first is refused by
// the others. If there is a leader after as long again, the hint was false, or too late: the next leader may
// have been noted a moment before.
func (s *suspecting) giveLeaderUp(leader string, after time.Duration) {
	look := func() {
		s.tuner.setHeartbeat(after + time.Millisecond)
		s.tuner.setHeartbeat(after) // raft looks when the timeout gets shorter
	}
	if !sleep.For(s.ctx, after) || !s.suspected.during(leader, look) {
		return
	}
	if !sleep.For(s.ctx, after) || !s.suspected.of(leader) {
		return
	}
	if now, _ := s.leader.get(); now != "" {
		s.believeLeader()
	}
}

// believeLeader ends the suspicion: there is a leader.
func (s *suspecting) believeLeader() {
	s.suspected.end(func() { s.tuner.setHeartbeat(s.pacing.heartbeatTimeout()) })
}

// awaitTurn waits until this node may ask for votes of that term, and reports whether it still wants them.
func (s *suspecting) awaitTurn(term uint64) bool {
	wait := time.Until(s.suspected.turn(s.turnLength()))
	return wait <= 0 || sleep.For(s.ctx, wait) && s.stands(term)
}

// awaitAnother waits until a voter that has refused may be asked again, and reports whether it is to be. It
// may have the hint later than this node, and refuse because it still believes the leader.
func (s *suspecting) awaitAnother(term uint64) bool {
	turn, each := s.suspected.turn(s.turnLength()), s.turnLength()
	if turn.IsZero() || time.Since(turn) > s.node.cfg.Tuning.Heartbeat {
		return false
	}
	return sleep.For(s.ctx, each/2+rand.N(each/2)) && s.stands(term)
}

// turnLength is the time that a candidate has until the next one asks.
func (s *suspecting) turnLength() time.Duration { return s.node.cfg.Tuning.Heartbeat / 10 }

// stands reports whether this node is still a candidate for that term.
func (s *suspecting) stands(term uint64) bool {
	return s.raft.State() == raft.Candidate && s.raft.CurrentTerm() < term
}

// elector tells when votes of a term are asked for. Both calls wait, and report false if it is no longer
// wanted.
type elector interface {
	awaitTurn(term uint64) bool
	awaitAnother(term uint64) bool
}

// RequestPreVote asks a voter whether it would vote for this node. Who suspects the leader waits for its
// turn: two that ask at one moment would share the votes, and wait for another election timeout.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress,
	args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if !t.elects.awaitTurn(args.Term) {
		*resp = raft.RequestPreVoteResponse{RPCHeader: t.header(), Term: args.Term}
		return nil
	}
	for {
		*resp = raft.RequestPreVoteResponse{}
		err := t.NetworkTransport.RequestPreVote(id, target, args, resp)
		if err != nil || resp.Granted || resp.Term > args.Term || !t.elects.awaitAnother(args.Term) {
			return err
		}
	}
}
