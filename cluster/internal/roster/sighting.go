package roster

import (
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Sighting is the last that was heard of one run of a node. It is replaced, never changed, so that readers
// may keep it.
type Sighting struct {
	Gossip  string // gossip name: NodeID.run
	Node    string // NodeID
	Addr    string
	Status  string // one of the statuses
	Applied uint64
	At      time.Time // of this news
	Meta
}

// Server returns the server ID of the incarnation that the run is of.
func (s *Sighting) Server() string { return wire.ServerID(s.Node, s.Incarnation) }

// SaidGoodbye reports whether a run said as its last word that it ends, and is gone. One that is Stopped or
// Left may have been cut off before it did, while it was stopping, and be at that still.
func (s *Sighting) SaidGoodbye() bool { return s.Goodbye && s.Status != Alive }

// The statuses of a run. cluster exports them.
const (
	Alive   = "alive"
	Dead    = "dead"    // it does not answer; gossip cannot know whether it runs
	Stopped = "stopped" // it said that it stops, and is to come back, as far as is known
	Left    = "left"    // it said that it stops, and has left the farm for good
)

// newer reports whether a counts rather than b, of two runs of one node.
func newer(a, b *Sighting) bool {
	if x, y := a.Status == Alive, b.Status == Alive; x != y {
		return x
	}
	if a.Start != b.Start {
		return a.Start > b.Start
	}
	return a.Gossip > b.Gossip
}
