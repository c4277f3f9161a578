package cluster

import (
	"time"

	"github.com/hashicorp/raft"
)

func (in *instance) config(notify chan<- bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(in.server)
	c.HeartbeatTimeout, c.ElectionTimeout = in.node.cfg.Tuning.Heartbeat, in.node.cfg.Tuning.Heartbeat
	c.LeaderLeaseTimeout = in.node.cfg.Tuning.Heartbeat / 2
	c.CommitTimeout = commitTimeout
	c.MaxAppendEntries = maxAppendEntries
	c.SnapshotInterval = 24 * time.Hour // snapshots are taken by bytes and by time; see snapshots
	c.SnapshotThreshold = 1 << 62
	c.TrailingLogs = leastTrailing // see takeSnapshot
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	c.NotifyCh = notify
	c.Logger = raftLogger(in.node.log)
	return c
}

func (in *instance) setHeartbeat(d time.Duration) {
	if err := in.changeHeartbeat(d); err != nil {
		in.log.Debug("heartbeat timeout not changed", keyError, err)
	}
}

func (in *instance) changeHeartbeat(d time.Duration) error {
	in.reloadMu.Lock()
	defer in.reloadMu.Unlock()
	c := in.raft.ReloadableConfig()
	if c.HeartbeatTimeout == d {
		return nil
	}
	c.HeartbeatTimeout = d
	c.ElectionTimeout = max(in.node.cfg.Tuning.Heartbeat, d) // raft wants no shorter one
	return in.raft.ReloadConfig(c)
}

func (in *instance) setTrailing(entries uint64) error {
	in.reloadMu.Lock()
	defer in.reloadMu.Unlock()
	c := in.raft.ReloadableConfig()
	c.TrailingLogs = entries
	return in.raft.ReloadConfig(c)
}
