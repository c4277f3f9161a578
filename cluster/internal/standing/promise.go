package standing

import (
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Whoever has stood down for a re-forming promises to follow one successor. From then on its vote is over: if
// it voted on, the old farm could acknowledge beside the new one. So a durable node keeps the promise over
// its restarts, until it belongs to the next epoch, or takes it back.

// Word is what a node has promised, as it stands.
type Word struct {
	Successor string    // server ID of the one it follows; "" = nobody
	StoodDown time.Time // when it was last asked to stand down; the zero time = never
	Resuming  bool      // it is about to take part again
}

// Word returns what the node has promised.
func (s *Standing) Word() Word {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Word{s.successor, s.stoodDown, s.resuming}
}

// StandDown notes that the node stands down for a re-forming that is under way.
func (s *Standing) StandDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stoodDown = time.Now()
}

// Promise gives the node's word to follow a server as the successor of its farm. It fails with
// wire.ErrWordGiven if the promise so far is not to before ("": none), if the node of another server than to
// has the claim and is alive, and if the node is not id any more. That is the identity, with its boot
// counter, of the Raft instance that votes no more. So a promise binds every instance that is started later.
// It is on disk before it is given.
func (s *Standing) Promise(id disk.Identity, to, before string, alive func(node string) bool) error {
	claimed := s.lockClaim(wire.NodeOf(to), alive)
	defer s.mu.Unlock()
	if claimed || s.successor != before || s.id != id || s.resuming {
		return wire.ErrWordGiven
	}
	if s.disk != nil {
		if err := s.disk.SavePromise(s.promiseLocked(to)); err != nil {
			return err
		}
	}
	s.successor = to
	return nil
}

// promiseLocked returns what is to be on disk. What a node promises itself need not be: if it is started
// again, its Raft runs, and then it re-forms nothing.
func (s *Standing) promiseLocked(to string) disk.Promise {
	me := serverOf(s.id)
	if to == "" || to == me {
		return disk.Promise{}
	}
	return disk.Promise{ClusterID: s.id.ClusterID, Server: me, To: to}
}

// Bound reports whether a server of this node may not vote, because it has promised to follow another one.
func (s *Standing) Bound(server string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.successor != "" && s.successor != server
}

// MayReform reports whether server is what the node is, in the farm, and whether it follows itself.
func (s *Standing) MayReform(farm, server string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return farm != "" && s.id.ClusterID == farm && s.successor == server && !s.resuming
}

// BeginReform notes that the node re-forms the farm, which takes its time, and is not to be taken for
// abandoned. It reports false if that has happened. EndReform must follow.
func (s *Standing) BeginReform() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resuming {
		return false
	}
	s.reforming = true
	return true
}

// EndReform notes that the node has re-formed the farm, or not.
func (s *Standing) EndReform() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reforming = false
}

// Succeed makes the node the incarnation inc, in the next epoch of its farm. As a successor it does so only
// if that is still what it has promised itself; else it fails with wire.ErrWordGiven.
func (s *Standing) Succeed(cluster, inc string, successor bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if successor && s.successor != serverOf(s.id) {
		return wire.ErrWordGiven
	}
	err := s.changeLocked(func(id *disk.Identity) {
		id.ClusterID, id.Incarnation, id.Founding = cluster, inc, false
	})
	if err != nil {
		return err
	}
	s.successor, s.resuming = "", false // what is on disk binds the incarnation that was
	return nil
}

// Resume has the node take part again, from the log. It does nothing if its promise is another one by now, or
// if the node was asked to stand down less than idle ago. It reports whether the node takes part. If so,
// nothing can be promised until Restart.
func (s *Standing) Resume(to string, idle time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resuming = !s.reforming && s.successor == to && time.Since(s.stoodDown) >= idle
	return s.resuming
}
