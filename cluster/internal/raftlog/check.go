package raftlog

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// ErrNoSnapshot says that entries are missing between the newest snapshot that can be read and the log.
var ErrNoSnapshot = errors.New("a snapshot is damaged or missing, and the log does not reach back to an " +
	"older one")

// Mended is what Check found wrong and put right; nothing is lost by it. Its zero value is nothing.
type Mended struct {
	// snapshots that cannot be read, by name; they are in the folder "snapshots-damaged" now
	Damaged    []string
	From, To   uint64 // entries that were dropped, since a snapshot has what they led to; 0 = none
	BadEntry   error  // a *CorruptError, if they were dropped because one of them is damaged
	Superseded bool   // they were dropped because that snapshot came in their place
}

// Check makes sure, before raft sees them, that every entry of the log is what was written, and that the log
// goes on from a snapshot that can be read. raft takes an older snapshot when the newest one cannot be read,
// passes over one that has lost its description, applies whatever an entry holds, and panics when it comes to
// entries that the log does not have.
//
// A crash may have left a log that ends before the newest snapshot, or goes another way: raft puts a snapshot
// from the leader into its place first, and drops the log that it replaces much later. That is finished here.
//
// The error wraps ErrNoSnapshot or a *CorruptError if the node has lost state; then nothing was changed. dir
// is where NewSnapshots was called for.
func Check(log Store, snaps raft.SnapshotStore, dir string) (Mended, error) {
	newest, damaged, err := readableSnapshots(snaps, dir)
	if err != nil {
		return Mended{}, fmt.Errorf("check the snapshots: %w", err)
	}
	first, last, err := bounds(log)
	if err != nil {
		return Mended{}, fmt.Errorf("check the log: %w", err)
	}
	m := Mended{Damaged: damaged}
	if first > newest.Index+1 || first == 0 && newest.ID == "" && len(damaged) > 0 {
		return m, fmt.Errorf("%w: damaged in %s: %q; the log begins with entry %d, and the newest snapshot "+
			"that can be read "+
			"ends with entry %d", ErrNoSnapshot, dir, damaged, first, newest.Index)
	}
	if err := m.plan(log, first, last, newest); err != nil {
		return m, err
	}
	return m, m.carryOut(log, dir)
}

func bounds(log Store) (first, last uint64, err error) {
	if first, err = log.FirstIndex(); err == nil {
		last, err = log.LastIndex()
	}
	return first, last, err
}

// plan reads the whole log, unless its files are known to be as they were written, and finds out which
// entries are to be dropped. Those up to the snapshot are not needed: raft keeps them for followers that are
// a little behind.
func (m *Mended) plan(log Store, first, last uint64, newest raft.SnapshotMeta) error {
	if first == 0 {
		return nil
	}
	if last < newest.Index {
		m.From, m.To, m.Superseded = first, last, true
		return nil
	}
	from, to := first, last
	if d, ok := log.(*durable); ok && d.intact {
		from, to = max(first, newest.Index), newest.Index // that one only, if it is there
	}
	for i := from; i <= to; i++ {
		var l raft.Log
		err := log.GetLog(i, &l)
		if errors.Is(err, raft.ErrLogNotFound) {
			err = &CorruptError{Index: i, Err: errMissing}
		}
		switch {
		case err != nil && i > newest.Index:
			return err
		case err != nil:
			m.From, m.To, m.BadEntry = first, i, err
		case i == newest.Index && l.Term != newest.Term: // nothing from here on was ever committed
			m.From, m.To, m.BadEntry, m.Superseded = first, last, nil, true
			return nil
		}
	}
	return nil
}

func (m *Mended) carryOut(log Store, dir string) error {
	for _, name := range m.Damaged {
		if err := setAside(dir, name); err != nil {
			return fmt.Errorf("set the damaged snapshot %s aside: %w", name, err)
		}
	}
	if m.To == 0 {
		return nil
	}
	return log.DeleteRange(m.From, m.To)
}
