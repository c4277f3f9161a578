package standing

import "time"

// PledgeFor is how long a pledge holds.
const PledgeFor = 10 * time.Second

// pledge is a founder's word to another one, or to itself: not to found a farm, and to follow nobody else,
// for a while.
type pledge struct {
	to    string // NodeID
	until time.Time
}

// Pledge gives the node's word to follow the founder node, unless another one has it.
func (s *Standing) Pledge(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if p := s.pledge; p.to != "" && p.to != node && now.Before(p.until) {
		return false
	}
	s.pledge = pledge{node, now.Add(PledgeFor)}
	return true
}
