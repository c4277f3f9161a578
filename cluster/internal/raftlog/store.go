// Package raftlog holds what Raft remembers: its log, its votes and its snapshots, on disk or in memory.
//
// On disk the log is hashicorp/raft-wal, which syncs once per append. It is pinned to v0.4.1: v0.4.0 cannot
// be opened again after a truncation of the tail, and v0.4.2 does not build with the metrics module that raft
// wants. It stands behind the Store interface here so that it can be replaced; what it does not see or bear
// is dealt with here (tail.go, reopening.go).
//
// In memory the log is our own. raft.InmemStore deletes entry by entry under its lock, which stops everything
// for as long as it takes to forget some ten thousand of them, and it does not say that its log has no gaps,
// which changes what raft does after a snapshot was installed. raft.InmemSnapshotStore shows a snapshot while
// it is still being written.
package raftlog

import (
	"io"

	"github.com/hashicorp/raft"
)

// Store keeps one node's log and votes. Its methods may be called by many goroutines. All Stores of this
// package have a log without gaps (IsMonotonic), return raft.ErrLogNotFound for an entry that is not there,
// and nil or 0 for a key that is not.
type Store interface {
	raft.LogStore
	raft.StableStore
	raft.MonotonicLogStore
	io.Closer
}

// OnAppend returns s with a hook: f is called with the last index after each append that succeeded, before
// the caller of StoreLogs goes on. It must be quick.
func OnAppend(s Store, f func(last uint64)) Store { return notifying{s, f} }

type notifying struct {
	Store
	onAppend func(last uint64)
}

func (n notifying) StoreLog(log *raft.Log) error { return n.StoreLogs([]*raft.Log{log}) }

func (n notifying) StoreLogs(logs []*raft.Log) error {
	if err := n.Store.StoreLogs(logs); err != nil {
		return err
	}
	if len(logs) > 0 {
		n.onAppend(logs[len(logs)-1].Index)
	}
	return nil
}
