package cluster

import (
	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// freeze returns the state as it is now, and its index. It keeps out of the way of Apply and Restore, which state machines
// expect.
func (f *fsm) freeze() (s *snapshot, index uint64, err error) {
	f.work.Lock()
	defer f.work.Unlock()
	defer recovered(&err)
	if f.halted.Load() || f.torn {
		return nil, 0, errStopped
	}
	return f.frozenLocked(), f.index, nil
}

// haltBy ends this copy of the state, for what happened beside Apply.
func (f *fsm) haltBy(err error) {
	if f.halted.CompareAndSwap(false, true) {
		f.conf.halt(err)
	}
}

func (f *fsm) frozenLocked() *snapshot {
	names := f.taking()
	s := &snapshot{magic: magicOf(f.levelInForce()), header: appendSnapshotHeader(nil, f, len(names)), names: names,
		halt: f.haltBy}
	for _, name := range names {
		s.machines = append(s.machines, f.machines[name].Snapshot())
	}
	return s
}

// rebase makes f the state that a farm begins with which has one server alone, after the given index at least, and freezes it.
func (f *fsm) rebase(index uint64, alone raft.Configuration) (*snapshot, uint64) {
	f.work.Lock()
	defer f.work.Unlock()
	f.configureLocked(alone)
	f.formed.Store(true)
	f.change(func() {
		f.index = max(f.index, index) + 1
		f.expect = max(f.expect, 1)
		if f.chain = (chain{}); f.levelInForce() >= wire.LevelSafety {
			f.chain.begin(f.index, f.index)
		}
	})
	return f.frozenLocked(), f.index
}

// soleVoter is the configuration that a log begins with.
func soleVoter(server string) raft.Configuration {
	self := raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(server), Address: raft.ServerAddress(server)}
	return raft.Configuration{Servers: []raft.Server{self}}
}

// unmarked reports whether anything was applied since the last mark.
func (f *fsm) unmarked() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.index > f.lastMark
}

// markedState is a state frozen at a mark.
type markedState struct {
	index uint64
	state *snapshot
}
