package cluster

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// reigns keeps what tells why a leader leads no more: what this node's raft was sent, and when it changed the
// leader.
type reigns struct {
	mu     sync.Mutex
	leader string    // server ID of the one that raft knows; "" = none
	term   uint64    // of the last one that raft knew
	heard  time.Time // when that one was heard last
	ended  *reign    // the last that ended; nil = none did

	asked   uint64    // the highest term in which a node stood for election because the leader asked it to
	askedAt time.Time // when that was seen
	newer   uint64    // the highest term that another node was seen to be in
	from    string    // server ID of that node
}

// reign is the time in which a server led in a term, after its end.
type reign struct {
	server string
	term   uint64
	at     time.Time     // of the end, as this node's raft saw it
	silent time.Duration // for so long the leader had not been heard then
	// why it ended; "" = that is not decided yet. The goroutine that logs has this field for itself
	reason string
}

// askedRecently is how old a hand-over may be that counts as the end of a reign. After an earlier one the
// heir may have failed, and something else ended the reign.
const askedRecently = 5 * time.Second

// raft's requests and answers come here before raft gets them.

func (s *reigns) saw(request any) {
	switch req := request.(type) {
	case *raft.TimeoutNowRequest:
		s.sawHandOver(string(req.ID), 0)
	case *raft.RequestVoteRequest:
		if req.LeadershipTransfer {
			s.sawHandOver("", req.Term)
		}
	case *raft.AppendEntriesRequest:
		s.sawTerm(req.Term, req.ID)
	case *raft.InstallSnapshotRequest:
		s.sawTerm(req.Term, req.ID)
	}
}

// sawHandOver notes that the leader asks this node to stand for election, or has asked a candidate in a term.
func (s *reigns) sawHandOver(leader string, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if leader != "" && leader == s.leader {
		term = s.term + 1
	}
	if term > s.asked {
		s.asked, s.askedAt = term, time.Now()
	}
}

// sawTerm notes the term that another node is in.
func (s *reigns) sawTerm(term uint64, server []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if term > s.newer {
		s.newer, s.from = term, string(server)
	}
}

// taken notes that raft has taken a request.
func (s *reigns) taken(request any) {
	switch req := request.(type) {
	case *raft.AppendEntriesRequest:
		s.hear(req.ID)
	case *raft.InstallSnapshotRequest:
		s.hear(req.ID)
	}
}

func (s *reigns) hear(server []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(server) == s.leader {
		s.heard = time.Now()
	}
}

// change notes whom raft takes for the leader from now on, "" for none. raft's own goroutine calls it, in
// that moment: what is asked later may be the news of another election.
func (s *reigns) change(leader string, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.leader != "" && (leader != s.leader || term != s.term) {
		s.ended = &reign{server: s.leader, term: s.term, at: now, silent: now.Sub(s.heard)}
	}
	if s.leader = leader; leader != "" {
		s.term, s.heard = term, now
	}
}

// end returns the last reign of a server, nil if this node's raft knows of none that has ended.
func (s *reigns) end(server string) *reign {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil || s.ended.server != server {
		return nil
	}
	return s.ended
}

// handedOver reports whether the leader of a reign gave it to another.
func (s *reigns) handedOver(r *reign) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked > r.term && r.at.Sub(s.askedAt) < askedRecently
}

// outdone returns who was seen in a later term than that of a reign, "" for nobody.
func (s *reigns) outdone(r *reign) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newer > r.term {
		return s.from
	}
	return ""
}
