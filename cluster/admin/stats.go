package admin

import (
	"encoding/json"
	"time"
)

// Stats is what one node knows of its own work, at one moment. Counts and latencies are since the node was
// opened; a new Raft instance does not set them back. Times are of this node's clock; a zero time means that
// it has not happened.
type Stats struct {
	Node string    `json:"node"` // NodeID
	Name string    `json:"name"` // for people
	At   time.Time `json:"at"`   // when this was read

	Role     string   `json:"role"`      // ordinary, front or staging
	Vote     string   `json:"vote"`      // Voter, Nonvoter, or "": not in the configuration that this node knows
	RaftRole RaftRole `json:"raft_role"` // its part in Raft now
	Leader   string   `json:"leader"`    // NodeID; "" = none known
	Term     uint64   `json:"term"`      // Raft's; it rises with each election
	Ready    bool     `json:"ready"`     // it has been a caught-up member
	Failure  string   `json:"failure"`   // why it can never be a member as it is; "" = it can

	// Program is what the program adds (cluster.Config.Program.Stats); nil = nothing.
	Program json.RawMessage `json:"program,omitempty"`

	Proposals Proposals `json:"proposals"` // made here
	Leading   Leading   `json:"leading"`   // its work as the leader; zero unless it leads

	// Commit is the latency of an entry, as the leader: from Raft's taking it until it is committed and
	// applied here. Store is that of a write to the log, on disk with a data directory, whatever the number
	// of entries in it; Apply that of a batch of entries in the state machines.
	Commit Latency `json:"commit"`
	Store  Latency `json:"store"`
	Apply  Latency `json:"apply"`

	Log      Log      `json:"log"`
	Snapshot Snapshot `json:"snapshot"`

	// Restarts are the times that the node began its part in Raft anew, because a watchdog or the farm had it
	// do so: how often, and the latest of them, the oldest first, at most 16.
	Restarted uint64    `json:"restarted"`
	Restarts  []Restart `json:"restarts"`

	Peers []Peer `json:"peers"` // all other members, by name
}

// RaftRole is a node's part in Raft.
type RaftRole string

// The values of RaftRole.
const (
	RaftLeader    RaftRole = "leader"
	RaftFollower  RaftRole = "follower"
	RaftCandidate RaftRole = "candidate"
	RaftStopped   RaftRole = "stopped" // the node takes no part: it is closed, or waits for another instance
)

// Proposals are the commands that this node was given to replicate.
type Proposals struct {
	Waiting Queue   `json:"waiting"` // not answered yet, at this moment
	Done    Latency `json:"done"`    // of those that were done, as the caller of Propose sees it
	Failed  uint64  `json:"failed"`  // those that ended in an error, ErrUncertain among them
	Retries uint64  `json:"retries"` // batches of them that were sent again: to a new leader or connection
	Credit  Credit  `json:"credit"`  // how much of Waiting may be under way, and how much is
}

// Credit is how much a node may have under way at one moment: sent to the leader, and not answered. What goes
// beyond that waits at the node. It holds for one connection to one leader.
type Credit struct {
	Leader string `json:"leader"` // NodeID of the leader that was sent something last; "" = none was
	Given  Queue  `json:"given"`  // by its latest answer; before the first one, what any node may send it
	Used   Queue  `json:"used"`   // under way now; the last command may be larger than what was left
	Plain  bool   `json:"plain"`  // the leader's program gives no credits: Given is a fixed amount
}

// Leading is the work of a leader.
type Leading struct {
	Waiting Queue `json:"waiting"` // taken in, from all nodes, and not answered yet
	Origins int64 `json:"origins"` // nodes that have sent something within a second; they share its credit
	Credit  Queue `json:"credit"`  // the most that one may have under way; who uses less leaves it to the rest
}

// Queue is what waits at one moment.
type Queue struct {
	Count int64 `json:"count"` // commands
	Bytes int64 `json:"bytes"` // of those
}

// Latency says how long something took, of all the times that it was done.
type Latency struct {
	Count uint64        `json:"count"`    // how often
	Total time.Duration `json:"total_ns"` // of all of them
	Most  time.Duration `json:"most_ns"`  // the longest
	Upto  []Bucket      `json:"upto"`     // how many took how long; empty buckets are left out
}

// Bucket is how many times something took at most so long, and longer than the next smaller bound: 0.1, 0.25,
// 0.5, 1, 2.5 ms and so on to 10 s. Max is 0 in that of what took longer than 10 s.
type Bucket struct {
	Max   time.Duration `json:"max_ns"`
	Count uint64        `json:"count"`
}

// Mean returns how long it took on average; 0 if it was never done.
func (l Latency) Mean() time.Duration {
	if l.Count == 0 {
		return 0
	}
	return l.Total / time.Duration(l.Count)
}

// Quantile returns a bound that a part q of all times kept, 0.99 of them for example: that of the bucket, or
// Most if it is less. It is 0 if it was never done.
func (l Latency) Quantile(q float64) time.Duration {
	var seen uint64
	for _, b := range l.Upto {
		if seen += b.Count; float64(seen) >= q*float64(l.Count) && b.Max > 0 {
			return min(b.Max, l.Most)
		}
	}
	return l.Most
}

// Log is how far this node's log and state are. Indexes count entries.
type Log struct {
	Last      uint64 `json:"last"`      // index of the last entry in the log, committed or not
	Committed uint64 `json:"committed"` // index up to which it is known to be committed
	Applied   uint64 `json:"applied"`   // index up to which the state is that of the log
	Lag       Lag    `json:"lag"`       // what is committed, as far as this node knows, and not applied here yet
}

// Lag is by how much something is behind.
type Lag struct {
	Entries uint64 `json:"entries"`
	Bytes   int64  `json:"bytes"` // of those that this process has written to its log; to the last 64 KiB
}

// Snapshot says how this node's snapshots fared.
type Snapshot struct {
	Taken    uint64        `json:"taken"`    // how many, since the node was opened
	Failed   uint64        `json:"failed"`   // how many were tried in vain
	Last     time.Time     `json:"last"`     // when the latest was begun
	Took     time.Duration `json:"took_ns"`  // how long that took; 0 = none was taken
	Bytes    int64         `json:"bytes"`    // size of the newest, taken here or sent by a leader; 0 = not known
	Failure  string        `json:"failure"`  // why the latest was not taken; "" = it was, or there was none
	Restored uint64        `json:"restored"` // how many were restored: sent by a leader, or found at the start

	// RestoreTook is how long the state machines took for the latest of these, reading included; 0 = none was
	// restored.
	RestoreTook time.Duration `json:"restore_took_ns"`
}

// Restart is one time that a node began its part in Raft anew.
type Restart struct {
	At       time.Time     `json:"at"`
	Reason   string        `json:"reason"`
	KeptLog  bool          `json:"kept_log"` // it went on with its log; otherwise it joined as a new incarnation
	Took     time.Duration `json:"took_ns"`  // until Raft ran again, or had failed to
	Finished bool          `json:"finished"` // Raft runs again
}

// Peer is another member as this node sees it.
type Peer struct {
	Node   string `json:"node"`   // NodeID
	Name   string `json:"name"`   // for people
	Status string `json:"status"` // by gossip: Alive, Dead, Stopped, Left
	Vote   string `json:"vote"`   // Voter, Nonvoter, or "": not in the configuration

	Link Link `json:"link"`

	// Follows says that this node leads and sends the peer its log. Lag is then how far the peer's log is
	// behind by its last answer, if LagKnown, and Heard when it has answered anything last. Fed says that it
	// is sent a snapshot just now.
	Follows  bool      `json:"follows"`
	LagKnown bool      `json:"lag_known"`
	Lag      Lag       `json:"lag"`
	Heard    time.Time `json:"heard"`
	Fed      bool      `json:"fed"`
}

// Link is the connection for calls that this node opens to a peer. It is opened when it is needed: a follower
// needs that to the leader, and others hardly ever.
type Link struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`   // since when it is connected, or is not; zero = none was needed yet
	Heard     time.Time `json:"heard"`   // when something came over it last
	Failure   string    `json:"failure"` // why it is not connected; "" = it is, or was not needed
}
