package cluster

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// A node may find its log damaged, or the snapshot before it. Then it cannot tell what it has lost: perhaps
// votes, and entries that were acknowledged because it had them. So it takes no part until a leader says that
// the others do not need that log (unfit.go). A farm of one has nobody to ask: its node does not start.

// damaging reports whether an error says that the log or its snapshots are not what was written.
func damaging(err error) bool {
	var bad *raftlog.CorruptError
	return errors.Is(err, raftlog.ErrNoSnapshot) || errors.As(err, &bad)
}

// unusable returns the error as ErrDamaged too if it says that the data directory is not what was written.
func unusable(err error) error {
	if damaging(err) || errors.Is(err, disk.ErrDamaged) {
		err = fmt.Errorf("%w; %w", err, ErrDamaged)
	}
	return err
}

// sayMended logs what was wrong with a log, and was put right before raft saw it.
func (lg *logs) sayMended(m raftlog.Mended) {
	if len(m.Damaged) > 0 {
		lg.log.Warn("a snapshot is damaged; another one and the log make up for it", "damaged", m.Damaged)
	}
	switch {
	case m.To == 0:
	case m.BadEntry != nil:
		lg.log.Warn("the log is damaged where a snapshot has all of it; that part is dropped", keyError,
			m.BadEntry, "from", m.From,
			"to", m.To)
	default:
		lg.log.Info("a snapshot came in the place of this log, which is dropped now", "from", m.From, "to",
			m.To)
	}
}

// readEntry reads an entry for raft. raft panics on some errors, and sends to others what it reads. So if an
// entry is damaged, the node first stops: it sends, hears, applies and writes nothing more. Then raft gets
// something in the place of the entry.
func (b *breakage) readEntry(store raft.LogStore, index uint64, l *raft.Log) error {
	err := store.GetLog(index, l)
	var bad *raftlog.CorruptError
	if !errors.As(err, &bad) || b.quiet.ended() {
		return err
	}
	b.fsm.Stop()
	b.layer.Close()
	// which no store takes
	*l = raft.Log{Index: index, Type: raft.LogNoop, Extensions: []byte("in the place of a damaged entry")}
	if b.broken.CompareAndSwap(nil, &err) {
		b.node.spawn(func() { // not here: this is raft's own goroutine, perhaps before NewRaft has returned
			if <-b.made; b.raft != nil {
				b.readDamaged(bad)
			}
		})
	}
	return nil
}

// readDamaged decides what becomes of a log with a damaged entry. If a snapshot has what it led to, the entry
// is dropped at the next opening, and nothing is lost.
func (b *breakage) readDamaged(bad *raftlog.CorruptError) {
	snaps, err := b.storage.snaps.List()
	if err == nil && len(snaps) > 0 && bad.Index <= snaps[0].Index && b.node.durable() {
		b.node.resets.restart(b.server, bad)
		return
	}
	b.corrupted(bad)
}

// placeholder returns an empty log for a node that cannot open its own, or the error if there is nobody who
// could say that it is not needed. It serves an instance that takes no part.
func (lg *logs) placeholder(err error) (openLog, error) {
	if !damaging(err) || !lg.standing.Belongs() || !lg.knowsOthers() {
		return openLog{}, err
	}
	lg.fit.withdraw(unfit{err: err, kind: forgetLog}, func() bool { return true })
	lg.hadState = true
	lg.log.Error("the log of this node is damaged; it takes no part, and asks the others whether they have a "+
		"quorum without it", keyError, err)
	return openLog{raftlog.NewMemory(), raftlog.NewMemorySnapshots()}, nil
}

// corrupted is called when damage is found while the instance runs. Its connections are closed by then, or
// before anything that is damaged could leave this node.
func (b *breakage) corrupted(err error) {
	n := b.node
	b.layer.Close()
	if len(b.configuration().Servers) < 2 {
		b.halted(unusable(err))
		return
	}
	if n.mending.withdraw(b.core, unfit{err: err, kind: forgetLog}) {
		n.log.Error("damage was found in the log of this node; it takes no part any more, and asks the "+
			"others whether they have a quorum "+
			"without it", keyError, err)
	}
}
