package cluster

import (
	"fmt"
	"time"
)

// Tuning is how large a farm's core is, and how soon its nodes act. Zero fields mean the defaults.
type Tuning struct {
	// MaxVoters limits how many nodes vote; 0 means 5. The others hold the state all the same. Give all nodes
	// the same.
	MaxVoters int

	// DeadAfter is how long a configured node must have been out of contact, by gossip and by Raft, before it
	// is removed, if a stand-by can take its place or an odd number of at least three voters remains. 0 means
	// 5 minutes with a data directory, 30 seconds in memory mode; negative means never.
	DeadAfter time.Duration

	// Heartbeat is Raft's heartbeat timeout, the same on all nodes: a lost leader is replaced in about twice
	// that. 0 means 500 ms, the least is 150 ms; use 1 s across data centres or under CPU quotas. It may be
	// changed by a rolling restart: no node gives up a leader before that leader's own timeout has passed.
	Heartbeat time.Duration

	// SnapshotBytes is how many bytes go through the log before a snapshot is taken and the log cut; 0 means
	// 64 MiB. It is as many as the state has on disk, if that is more, and up to half as many again, so that
	// nodes do not do so all at once. A snapshot is taken every ten to fifteen minutes as well, if anything
	// was written. For a follower that is behind, up to four times as much of the log is kept, or twice the
	// size of the state.
	SnapshotBytes int64
}

const (
	defaultHeartbeat = 500 * time.Millisecond
	leastHeartbeat   = 150 * time.Millisecond
	defaultMaxVoters = 5

	defaultSnapshotBytes = 64 << 20

	defaultDeadAfter       = 5 * time.Minute
	defaultDeadAfterMemory = 30 * time.Second
)

func (t Tuning) withDefaults(durable bool) Tuning {
	if t.MaxVoters == 0 {
		t.MaxVoters = defaultMaxVoters
	}
	if t.Heartbeat == 0 {
		t.Heartbeat = defaultHeartbeat
	}
	if t.SnapshotBytes == 0 {
		t.SnapshotBytes = defaultSnapshotBytes
	}
	if t.DeadAfter == 0 {
		t.DeadAfter = defaultDeadAfter
		if !durable {
			t.DeadAfter = defaultDeadAfterMemory
		}
	}
	return t
}

func (t Tuning) validate() error {
	switch {
	case t.MaxVoters < 1:
		return fmt.Errorf("Tuning.MaxVoters is %d; it must be at least 1", t.MaxVoters)
	case t.SnapshotBytes < 0:
		return fmt.Errorf("Tuning.SnapshotBytes is %d; it must not be negative", t.SnapshotBytes)
	case t.Heartbeat < leastHeartbeat:
		return fmt.Errorf("Tuning.Heartbeat is %v; below %v a busy machine would lose its leader for nothing",
			t.Heartbeat, leastHeartbeat)
	}
	return nil
}
