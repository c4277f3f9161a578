package cluster

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// lastEntry returns the last entry that the log, or the newest snapshot, holds.
func (in *instance) lastEntry() (term, index uint64, err error) {
	snaps, err := in.snaps.List()
	if err != nil {
		return 0, 0, err
	}
	if len(snaps) > 0 {
		term, index = snaps[0].Term, snaps[0].Index
	}
	last, err := in.store.LastIndex()
	if err != nil || last <= index {
		return term, index, err
	}
	var l raft.Log
	if err = in.store.GetLog(last, &l); err != nil || l.Term < term {
		return term, index, err // what lies behind the snapshot was to be replaced by it
	}
	return l.Term, last, nil
}

// replay returns the state that the newest snapshot and the whole log lead to, beyond what this node knew to
// be committed: with the quorum gone, nobody can tell which of it was, and what was acknowledged must not be
// lost. Raft has stopped, perhaps between a snapshot and its being restored, so the state it has worked with
// is left alone.
func (in *instance) replay(last uint64) (*replica.State, error) {
	f, halted := in.node.detachedState()
	snaps, err := in.snaps.List()
	if err != nil {
		return nil, err
	}
	from := uint64(0)
	if len(snaps) > 0 {
		meta, r, err := in.snaps.Open(snaps[0].ID)
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
		if err := in.store.GetLog(i, &l); err != nil {
			return nil, fmt.Errorf("log entry %d: %w", i, err)
		}
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			f.ApplyBatch([]*raft.Log{&l})
		}
	}
	return f, *halted
}

// answerStored is the voter's side of askStored.
func (in *instance) answerStored(server []byte) ([]byte, error) {
	if string(server) != in.server {
		return nil, wire.ErrNotMe
	}
	s, err := in.stored()
	return s.append(nil), err
}

// stored says how far the log goes. That of a node which takes no part does not count: it may be damaged, or
// about to be given up.
func (in *instance) stored() (s stored, err error) {
	switch {
	case in.ctx.Err() != nil, in.broken.Load() != nil, in.node.failure.get() != nil, in.node.fit.err() != nil:
		return stored{}, wire.ErrNotMe
	}
	s.term = in.raft.CurrentTerm()
	s.lastTerm, s.last, err = in.lastEntry()
	return s, err
}

// frozen returns the state as it is now, for a snapshot that is sent from memory.
func (in *instance) frozen() (raftlog.Frozen, error) {
	s, index, err := in.fsm.Freeze()
	if err != nil {
		return raftlog.Frozen{}, err
	}
	f := raftlog.Frozen{Index: index, Configuration: s.Configuration, ConfigurationIndex: s.ConfiguredAt,
		Write: s.Write}
	var last raft.Log
	if err := in.store.GetLog(index, &last); err == nil {
		f.Term = last.Term
	} else if !errors.Is(err, raft.ErrLogNotFound) {
		return f, err
	}
	return f, nil
}

// starved reports whether a write to the log waits for a descriptor.
func (in *instance) starved() bool { return raftlog.Starved(in.files) }
