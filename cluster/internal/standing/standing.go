package standing

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Disk is where a standing is kept; *disk.Dir is one.
type Disk interface {
	SaveIdentity(disk.Identity) error
	SavePromise(disk.Promise) error
	SaveBegun(server string) error
}

// Standing is one node's. Its methods may be called at any time, and by many; none of them asks anybody. A
// method that fails has changed nothing, but where it says so. The zero value is of no use; see New.
type Standing struct {
	disk Disk // nil in memory mode

	mu     sync.Mutex
	id     disk.Identity
	pledge pledge
	claim  claim

	successor string    // server ID that may re-form the farm, by this node's word
	stoodDown time.Time // when this node was last asked to
	reforming bool      // this node re-forms the farm just now
	resuming  bool      // this node is about to take part again, and promises nothing
}

// New returns the standing of a node as it was saved, or made up, with the promise that it gave in an earlier
// run. Without a disk, d is nil, and nothing is kept over a restart.
func New(id disk.Identity, p disk.Promise, d Disk) *Standing {
	s := &Standing{id: id, disk: d}
	if p.To != "" && p.ClusterID == id.ClusterID && p.Server == serverOf(id) {
		s.successor, s.stoodDown = p.To, time.Now()
	}
	return s
}

// Identity returns who the node is now.
func (s *Standing) Identity() disk.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Server returns the server ID of the node's present incarnation.
func (s *Standing) Server() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return serverOf(s.id)
}

// Belongs reports whether the node belongs to a farm that others have a part in.
func (s *Standing) Belongs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id.ClusterID != "" && !s.id.Founding
}

// Found makes the node the founder of a farm of its own. It fails with wire.ErrOtherFarm if it belongs to one
// by now.
func (s *Standing) Found() error { return s.belong(NewID(), true) }

// Adopt makes the node part of the farm that takes it in, and keeps it from then on. It fails with
// wire.ErrOtherFarm if it belongs to another one by now. To adopt its own farm again changes nothing.
func (s *Standing) Adopt(cluster string) error { return s.belong(cluster, false) }

func (s *Standing) belong(cluster string, founding bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.id.ClusterID {
	case cluster:
		return nil
	case "":
		return s.changeLocked(func(id *disk.Identity) { id.ClusterID, id.Founding = cluster, founding })
	}
	return fmt.Errorf("%w: cluster ID %s here, %s offered", wire.ErrOtherFarm, s.id.ClusterID, cluster)
}

// EndFounding says that the farm has a second member, so this node must not found it again: without its log
// it would make another one of the same cluster ID.
func (s *Standing) EndFounding() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.id.Founding {
		return nil
	}
	return s.changeLocked(func(id *disk.Identity) { id.Founding = false })
}

// Start counts a start of the process. The counter is saved before it is returned.
func (s *Standing) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changeLocked(func(id *disk.Identity) { id.Boot++ })
}

// Restart counts a start of Raft on the log that there is. What the node has promised to another one binds
// on, unless Resume has taken it back. If it fails, the node must not go on.
func (s *Standing) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := func(id *disk.Identity) { id.Boot++ }
	if s.resuming || s.successor == "" || s.successor == serverOf(s.id) {
		return s.againLocked(next)
	}
	return s.changeLocked(next)
}

// Anew makes the node another incarnation, which has cast no votes and promised nothing. If it fails, the
// node must not go on.
func (s *Standing) Anew() error { return s.again(func(id *disk.Identity) { id.Incarnation = NewID() }) }

// GiveUp is Anew, and gives up the farm for another one; "" is whichever takes the node in.
func (s *Standing) GiveUp(farm string) error {
	return s.again(func(id *disk.Identity) {
		id.Incarnation, id.ClusterID, id.Founding = NewID(), farm, false
	})
}

// again begins as somebody who has promised nothing.
func (s *Standing) again(how func(*disk.Identity)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.againLocked(how)
}

func (s *Standing) againLocked(how func(*disk.Identity)) error {
	if s.disk != nil {
		if err := s.disk.SavePromise(disk.Promise{}); err != nil { // it was of what the node was
			return err
		}
	}
	if err := s.changeLocked(how); err != nil { // there may be another try
		return err
	}
	s.successor, s.resuming = "", false
	return nil
}

// Leave makes the node one that has never been a member.
func (s *Standing) Leave() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changeLocked(func(id *disk.Identity) {
		id.Incarnation, id.ClusterID, id.Founding = NewID(), "", false
	})
}

// LoseLog gives a member that has lost its log another incarnation, since its votes are lost as well, and
// reports whether it was a member.
func (s *Standing) LoseLog() (member bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id.ClusterID == "" || s.id.Founding {
		return false, nil
	}
	if err := s.changeLocked(func(id *disk.Identity) { id.Incarnation = NewID() }); err != nil {
		return true, err
	}
	s.successor = "" // what is on disk binds the incarnation that was
	return true, nil
}

// Begun saves that the log of a server has begun, if the node still is that one.
func (s *Standing) Begun(server string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk == nil || server != serverOf(s.id) {
		return nil
	}
	return s.disk.SaveBegun(server)
}

// changeLocked changes who the node is, on disk first.
func (s *Standing) changeLocked(how func(*disk.Identity)) error {
	id := s.id
	how(&id)
	if s.disk != nil {
		if err := s.disk.SaveIdentity(id); err != nil {
			return err
		}
	}
	s.id = id
	return nil
}

func serverOf(id disk.Identity) string { return wire.ServerID(id.NodeID, id.Incarnation) }

// NewID returns an ID that nobody else has: 64 random bits, in hexadecimal digits.
func NewID() string {
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}
