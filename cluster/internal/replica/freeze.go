package replica

import (
	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Freeze returns the state as it is now, and its index. It keeps out of the way of Apply and Restore, which
// state machines expect.
func (st *State) Freeze() (s *Snapshot, index uint64, err error) {
	st.work.Lock()
	defer st.work.Unlock()
	defer recovered(&err)
	if st.halted.Load() {
		return nil, 0, ErrStopped
	}
	return st.frozenLocked(), st.index, nil
}

// haltBy ends this copy of the state, for what happened beside Apply.
func (st *State) haltBy(err error) {
	if st.halted.CompareAndSwap(false, true) {
		st.conf.Halt(err)
	}
}

func (st *State) frozenLocked() *Snapshot {
	names := st.taking()
	s := &Snapshot{magic: magicOf(st.Level()), header: appendSnapshotHeader(nil, st, len(names)),
		Names:         names,
		Configuration: st.configuration, ConfiguredAt: st.configuredAt, halt: st.haltBy}
	for _, name := range names {
		s.machines = append(s.machines, st.Machine(name).Snapshot())
	}
	return s
}

// Rebase makes st the state that a farm begins with which has one server alone, after the given index at
// least, and freezes it.
func (st *State) Rebase(index uint64, alone raft.Configuration) (*Snapshot, uint64) {
	st.work.Lock()
	defer st.work.Unlock()
	st.configureLocked(alone)
	st.formed.Store(true)
	st.change(func() {
		st.index = max(st.index, index) + 1
		st.expect = max(st.expect, 1)
		if st.chain = (chain{}); st.Level() >= wire.LevelSafety {
			st.chain.begin(st.index, st.index)
		}
	})
	return st.frozenLocked(), st.index
}

// SoleVoter is the configuration that a log begins with.
func SoleVoter(server string) raft.Configuration {
	self := raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(server), Address: raft.ServerAddress(server)}
	return raft.Configuration{Servers: []raft.Server{self}}
}

// Unmarked reports whether anything was applied since the last mark.
func (st *State) Unmarked() bool {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.index > st.lastMark
}

// Marked is a state frozen at a mark.
type Marked struct {
	Index uint64
	State *Snapshot
}
