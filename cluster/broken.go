package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// ErrDisk says that something could not be written to the data directory, so that the node gave up: the disk
// is full, above all. The error goes on to say what. See to it and start the node again; nothing that it
// acknowledged is lost.
var ErrDisk = errors.New("the data directory cannot be written; see to its disk and start the node again")

// ErrGap says that the entries to be written to the log did not follow those that are in it, so that the node
// gave up: the disk is well, and the log on it is not that of its farm any more. Nothing was written.
var ErrGap = errors.New("the log in the data directory has a gap")

// strictStore ends this node's part in the farm at the first write that fails. Raft goes on after some
// errors, and can win election after election with a disk that takes no entry; after others it panics. And
// the files beneath are then in a state that only opening them anew puts right.
type strictStore struct {
	raftlog.Store
	breakage *breakage
}

// breakage ends this node's part in the farm when its log cannot be written, or is damaged. By which write
// that came is in core.broken.
type breakage struct {
	*core
	storage *storage
}

func (s strictStore) StoreLog(l *raft.Log) error {
	return s.check(func() error { return s.gap(l.Index, s.Store.StoreLog(l)) })
}

func (s strictStore) StoreLogs(l []*raft.Log) error {
	return s.check(func() error {
		defer s.breakage.node.meters.store.Since(time.Now())
		err := s.Store.StoreLogs(l)
		if len(l) > 0 {
			err = s.gap(l[0].Index, err)
		}
		return err
	})
}

// gap adds ErrGap to the error of a write whose entries did not follow those in the log.
func (s strictStore) gap(index uint64, err error) error {
	if err == nil {
		return nil
	}
	if last, e := s.LastIndex(); e == nil && last > 0 && index != last+1 {
		return fmt.Errorf("%w: it ends with entry %d, and entry %d was to follow: %w", ErrGap, last, index,
			err)
	}
	return err
}

// GetLog never returns a damaged entry, nor an error that says that one is.
func (s strictStore) GetLog(index uint64, l *raft.Log) error {
	return s.breakage.readEntry(s.Store, index, l)
}

func (s strictStore) DeleteRange(first, last uint64) error {
	return s.check(func() error { return s.Store.DeleteRange(first, last) })
}

func (s strictStore) Set(k, v []byte) error {
	return s.check(func() error { return s.Store.Set(k, v) })
}

// SetUint64 keeps its error to itself: raft panics when it cannot save its term. That does no harm, because
// no word of this instance reaches anybody from then on, and nothing more is written: it cannot even cast a
// vote, whose second half is saved by Set.
func (s strictStore) SetUint64(k []byte, v uint64) error {
	s.check(func() error { return s.Store.SetUint64(k, v) })
	return nil
}

// check runs a write, unless one has failed before.
func (s strictStore) check(write func() error) error {
	if broken := s.breakage.broken.Load(); broken != nil {
		return *broken
	}
	err := write()
	var bad *raftlog.CorruptError
	if errors.As(err, &bad) { // it came like that; raft refuses it, and the leader sends it again
		s.breakage.node.warnOnce("damaged entry", "an entry came damaged; it is refused", bad)
		return err
	}
	if err != nil {
		s.breakage.breakDown(err)
	}
	return err
}

// breakDown ends the instance and the node's part in the farm, because of a write that failed.
func (b *breakage) breakDown(err error) {
	b.broken.Store(&err)
	b.layer.Close()
	if b.ctx.Err() != nil {
		return
	}
	if !errors.Is(err, ErrGap) {
		err = fmt.Errorf("%w: %w", ErrDisk, err)
	}
	b.halted(err)
}
