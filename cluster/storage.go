package cluster

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// storage is what an instance keeps: its log and its snapshots.
type storage struct {
	*core
	store  raftlog.Store
	kept   *raftlog.Keeping // beneath store
	files  raftlog.Store    // store, beneath what watches over it
	snaps  raft.SnapshotStore
	memory *raftlog.MemorySnapshots // beneath snaps; nil = they are on disk
}

// lastEntry returns the last entry that the log, or the newest snapshot, holds.
func (st *storage) lastEntry() (term, index uint64, err error) {
	snaps, err := st.snaps.List()
	if err != nil {
		return 0, 0, err
	}
	if len(snaps) > 0 {
		term, index = snaps[0].Term, snaps[0].Index
	}
	last, err := st.store.LastIndex()
	if err != nil || last <= index {
		return term, index, err
	}
	var l raft.Log
	if err = st.store.GetLog(last, &l); err != nil || l.Term < term {
		return term, index, err // what lies behind the snapshot was to be replaced by it
	}
	return l.Term, last, nil
}

// replay returns the state that the newest snapshot and the whole log lead to, beyond what this node knew to
// be committed: with the quorum gone, nobody can tell which of it was, and what was acknowledged must not be
// lost. Raft has stopped, perhaps between a snapshot and its being restored, so the state it has worked with
// is left alone.
func (st *storage) replay(last uint64) (*replica.State, error) {
	f, halted := st.node.detachedState()
	snaps, err := st.snaps.List()
	if err != nil {
		return nil, err
	}
	from := uint64(0)
	if len(snaps) > 0 {
		meta, r, err := st.snaps.Open(snaps[0].ID)
		if err != nil {
			return nil, err
		}
		from = meta.Index
		if err := f.Restore(r); err != nil { // which closes r
			return nil, err
		}
	}
	for i := from + 1; i <= last; i++ {
		var l raft.Log
		if err := st.store.GetLog(i, &l); err != nil {
			return nil, fmt.Errorf("log entry %d: %w", i, err)
		}
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			f.ApplyBatch([]*raft.Log{&l})
		}
	}
	return f, *halted
}

// answerStored is the voter's side of askStored.
func (st *storage) answerStored(server []byte) ([]byte, error) {
	if string(server) != st.server {
		return nil, wire.ErrNotMe
	}
	s, err := st.stored()
	return s.append(nil), err
}

// stored says how far the log goes. That of a node which takes no part does not count: it may be damaged, or
// about to be given up.
func (st *storage) stored() (s stored, err error) {
	switch {
	case st.ctx.Err() != nil, st.broken.Load() != nil, st.node.failure.get() != nil, st.node.fit.err() != nil:
		return stored{}, wire.ErrNotMe
	}
	s.term = st.raft.CurrentTerm()
	s.lastTerm, s.last, err = st.lastEntry()
	return s, err
}

// frozen returns the state as it is now, for a snapshot that is sent from memory.
func (st *storage) frozen() (raftlog.Frozen, error) {
	s, index, err := st.fsm.Freeze()
	if err != nil {
		return raftlog.Frozen{}, err
	}
	f := raftlog.Frozen{Index: index, Configuration: s.Configuration, ConfigurationIndex: s.ConfiguredAt,
		Write: s.Write}
	var last raft.Log
	if err := st.store.GetLog(index, &last); err == nil {
		f.Term = last.Term
	} else if !errors.Is(err, raft.ErrLogNotFound) {
		return f, err
	}
	return f, nil
}

// starved reports whether a write to the log waits for a descriptor.
func (st *storage) starved() bool { return raftlog.Starved(st.files) }
