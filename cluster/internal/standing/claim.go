package standing

import (
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// claim is a member's word not to have the farm's state replaced by anybody else.
type claim struct {
	cluster string // ID of the farm
	by      string // NodeID of the one that replaces its state
	until   time.Time
}

// Claim gives the claim of a farm to the node by, for a while. It fails with wire.ErrOtherFarm if this node
// is of another farm, and with wire.ErrWordGiven if another one has the claim and is alive, or this node has
// promised, not longer ago than fresh, to follow another one.
func (s *Standing) Claim(cluster, by string, hold, fresh time.Duration, alive func(node string) bool) error {
	claimed := s.lockClaim(by, alive)
	defer s.mu.Unlock()
	switch {
	case cluster != s.id.ClusterID:
		return wire.ErrOtherFarm
	case claimed:
		return wire.ErrWordGiven
	case s.successor != "" && wire.NodeOf(s.successor) != by && time.Since(s.stoodDown) < fresh:
		return wire.ErrWordGiven
	}
	s.claim = claim{cluster: cluster, by: by, until: time.Now().Add(hold)}
	return nil
}

// lockClaim locks mu, and reports whether another node than by has the claim, or was faster to take it. alive
// is asked while no lock is held.
func (s *Standing) lockClaim(by string, alive func(node string) bool) (claimed bool) {
	s.mu.Lock()
	before := s.claim
	s.mu.Unlock()
	held := s.ClaimedBy(alive)
	s.mu.Lock()
	return held != "" && held != by || s.claim != before && s.claim.by != "" && s.claim.by != by
}

// GiveBack ends a claim that the node by has. It fails with wire.ErrOtherFarm if this node is of another
// farm.
func (s *Standing) GiveBack(cluster, by string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cluster != s.id.ClusterID {
		return wire.ErrOtherFarm
	}
	if s.claim.by == by {
		s.claim = claim{}
	}
	return nil
}

// ClaimedBy returns the NodeID of the one that has this node's claim, if it still may use it; "" if nobody
// has. alive is asked while no lock is held.
func (s *Standing) ClaimedBy(alive func(node string) bool) string {
	s.mu.Lock()
	c, cluster := s.claim, s.id.ClusterID
	s.mu.Unlock()
	if c.by == "" || c.cluster != cluster || time.Now().After(c.until) || !alive(c.by) {
		return ""
	}
	return c.by
}
