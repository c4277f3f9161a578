package admin

import (
	"slices"
	"time"
)

// Farm is a farm as one of its nodes sees it.
type Farm struct {
	Name      string `json:"name"`
	ClusterID string `json:"cluster_id"` // "": the node does not belong to a farm yet
	Answered  string `json:"answered"`   // NodeID of the node that says all this
	Leader    string `json:"leader"`     // NodeID; "" = none known
	Term      uint64 `json:"term"`
	Quorum    bool   `json:"quorum"`  // a majority of the voters answered a leader just now
	Durable   bool   `json:"durable"` // the nodes have data directories
	Level     int    `json:"level"`   // protocol level in force

	// CommonLevel is the highest protocol level that all members speak, which Finalize would put in force;
	// HeldBack names the members that speak less than others do.
	CommonLevel int      `json:"common_level"`
	HeldBack    []string `json:"held_back"`

	// Divergence says which members' copies of the state differ, and what follows; "" = none are known to.
	Divergence string `json:"divergence"`
	Undecided  bool   `json:"undecided"` // no majority has the same copy, so the farm takes no writes

	Awaits  string   `json:"awaits"`  // what the stop of the answering node waits for; "" = nothing
	Failure string   `json:"failure"` // why the answering node can never be a member as it is; "" = it can
	Members []Member `json:"members"` // by name
}

// Values of Member.Status.
const (
	Alive   = "alive"
	Dead    = "dead"    // it does not answer; whether it runs nobody can know
	Stopped = "stopped" // it said that it stops, and is to come back, as far as is known
	Left    = "left"    // it said that it stops, and has left the farm for good
	Unknown = "unknown" // configured, and never heard of by the node that answers
)

// Values of Member.Vote.
const (
	Voter    = "voter"
	Nonvoter = "nonvoter"
)

// Member is one node of the farm.
type Member struct {
	ID      string `json:"id"` // NodeID
	Name    string `json:"name"`
	Addr    string `json:"addr"`   // peer address
	Status  string `json:"status"` // Alive, Dead, Stopped, Left or Unknown
	Role    string `json:"role"`   // ordinary, front or staging
	Vote    string `json:"vote"`   // Voter, Nonvoter, or "": not in the configuration
	Leader  bool   `json:"leader"`
	Leaving bool   `json:"leaving"` // it is about to stop
	Version string `json:"version"` // of the application
	Level   int    `json:"level"`   // highest protocol level it speaks
	Applied uint64 `json:"applied"` // index of the last log entry it has applied, as far as is known
	Lag     uint64 `json:"lag"`     // entries that the foremost member has applied and this one has not

	// Started is when its process began, by its own clock, and Tags are what its program says of itself; both
	// are absent where nothing was heard of them.
	Started time.Time         `json:"started,omitzero"`
	Tags    map[string]string `json:"tags,omitempty"`
}

// Find returns the member whose name or NodeID is s. A live one goes before those that are gone. "" is
// nobody, also where a member's name is not known.
func (f Farm) Find(s string) (Member, bool) {
	if s == "" {
		return Member{}, false
	}
	var found []Member
	for _, m := range f.Members {
		if m.ID == s {
			return m, true
		}
		if m.Name == s {
			found = append(found, m)
		}
	}
	if i := slices.IndexFunc(found, func(m Member) bool { return m.Status == Alive }); i > 0 {
		return found[i], true
	}
	if len(found) == 0 {
		return Member{}, false
	}
	return found[0], true
}

// Voters returns how many members vote, and how many of those are alive.
func (f Farm) Voters() (voters, alive int) {
	for _, m := range f.Members {
		if m.Vote != Voter {
			continue
		}
		voters++
		if m.Status == Alive {
			alive++
		}
	}
	return voters, alive
}

// Finalized is the outcome of Client.Finalize.
type Finalized struct {
	Level int `json:"level"` // in force from now on
}

// Survivor is one server of a farm that may have lost its quorum.
type Survivor struct {
	ID      string `json:"id"`   // NodeID
	Name    string `json:"name"` // "" if nothing was heard of it
	Addr    string `json:"addr"` // where it was last
	Vote    string `json:"vote"` // Voter or Nonvoter
	Answers bool   `json:"answers"`
	Gone    bool   `json:"gone"`    // it is proven that it lost what it had; never so with a data directory
	Term    uint64 `json:"term"`    // of its last entry, if it answers
	Last    uint64 `json:"last"`    // index of its last entry, if it answers
	Applied uint64 `json:"applied"` // the highest index it was ever heard to have applied
}

// Survey is what is left of a farm.
type Survey struct {
	Farm      string `json:"farm"`
	ClusterID string `json:"cluster_id"`
	Durable   bool   `json:"durable"` // the nodes have data directories
	Quorum    bool   `json:"quorum"`  // enough voters answer: there is nothing to recover

	// Successor is the NodeID of the server that Recover goes on with: nobody who answers holds more.
	Successor string     `json:"successor"`
	Servers   []Survivor `json:"servers"` // by name
}

// Recovered is the outcome of Client.Recover.
type Recovered struct {
	ClusterID string `json:"cluster_id"` // of the node that was asked; it may be joining the new epoch still
}

// Restored is the outcome of Client.Restore.
type Restored struct {
	ClusterID string    `json:"cluster_id"` // the new one
	Index     uint64    `json:"index"`      // in the backup
	LogTime   time.Time `json:"log_time"`   // in the backup
}
