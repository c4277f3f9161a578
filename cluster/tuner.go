package cluster

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// tuner has the settings of raft: those that it starts with, and those that change while it runs.
type tuner struct {
	*core
	mu sync.Mutex // held while the settings are changed
}

// config returns the settings for the start. raft says in notify when this node begins and ceases to lead.
func (t *tuner) config(notify chan<- bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(t.server)
	c.HeartbeatTimeout, c.ElectionTimeout = t.node.cfg.Tuning.Heartbeat, t.node.cfg.Tuning.Heartbeat
	c.LeaderLeaseTimeout = t.node.cfg.Tuning.Heartbeat / 2
	c.CommitTimeout = commitTimeout
	c.MaxAppendEntries = maxAppendEntries
	c.SnapshotInterval = 24 * time.Hour // snapshots are taken by bytes and by time; see snapshotting
	c.SnapshotThreshold = 1 << 62
	c.TrailingLogs = leastTrailing // see setTrailing
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	c.NotifyCh = notify
	c.Logger = raftLogger(t.node.log)
	return c
}

// setHeartbeat has raft wait for so long for a heartbeat of the leader.
func (t *tuner) setHeartbeat(d time.Duration) {
	if err := t.changeHeartbeat(d); err != nil {
		t.log.Debug("heartbeat timeout not changed", keyError, err)
	}
}

func (t *tuner) changeHeartbeat(d time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.raft.ReloadableConfig()
	if c.HeartbeatTimeout == d {
		return nil
	}
	c.HeartbeatTimeout = d
	c.ElectionTimeout = max(t.node.cfg.Tuning.Heartbeat, d) // raft wants no shorter one
	return t.raft.ReloadConfig(c)
}

// setTrailing has so many entries stay behind the next snapshot.
func (t *tuner) setTrailing(entries uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.raft.ReloadableConfig()
	c.TrailingLogs = entries
	return t.raft.ReloadConfig(c)
}

// electSole has a node that is the only voter elect itself at once: there is no leader whose heartbeat it
// could wait for. A change of the timeout has Raft look for a heartbeat at once; chronicle.watch changes it
// back.
func (t *tuner) electSole() {
	if voters := t.voters(); len(voters) == 1 && voters[0] == t.server {
		t.setHeartbeat(t.node.cfg.Tuning.Heartbeat / 2)
	}
}
