package cluster

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// The watchdogs notice states that raft does not get out of by itself, and have the node start a new Raft
// instance: on the same log if it is durable, as a new incarnation if not.

const (
	stallHeartbeats = 4                // a write to the log may take so many heartbeat timeouts
	slowestDisk     = 512 << 10        // bytes per second: it may take so much longer for what it writes
	stallPatience   = 30 * time.Second // then for so long, before the node gives up
	streamPatience  = 10 * time.Second // for the next bytes of a snapshot
	refusalsInRow   = 3                // of what follows a snapshot
)

// ErrStalled says that the disk under the data directory has not answered for so long that the node gave up.
// Look at the disk and start the node again.
var ErrStalled = errors.New("the disk does not answer")

// watchedStore has an eye on how long writes to a disk take. A leader whose disk hangs goes on with its
// heartbeats, so nobody would take its place while every write hangs (raft issues 503, 614, 666). A log in
// memory is not watched: a write to it takes long only if the whole process stands still, and with a new
// instance the node would lose all that it holds.
type watchedStore struct {
	raftlog.Store
	in *instance
}

func (s watchedStore) StoreLog(l *raft.Log) error {
	return s.watch(entrySize(l), func() error { return s.Store.StoreLog(l) })
}
func (s watchedStore) StoreLogs(l []*raft.Log) error {
	return s.watch(entriesSize(l), func() error { return s.Store.StoreLogs(l) })
}
func (s watchedStore) Set(k, v []byte) error {
	return s.watch(len(v), func() error { return s.Store.Set(k, v) })
}
func (s watchedStore) SetUint64(k []byte, v uint64) error {
	return s.watch(0, func() error { return s.Store.SetUint64(k, v) })
}

// watch runs a write of so many bytes. One that takes too long poisons the instance: nothing more is sent or
// heard, so the others go on without it. An error would not do: the write may still reach the disk. When it
// has returned at last, the node begins anew with what is on the disk; if it does not, the node fails.
func (s watchedStore) watch(bytes int, write func() error) error {
	limit := stallHeartbeats*s.in.node.cfg.Tuning.Heartbeat + time.Duration(bytes)*time.Second/slowestDisk
	var w logWrite
	t := time.AfterFunc(limit, func() { s.in.poison(&w, limit) })
	err := write()
	if !t.Stop() {
		s.in.recovered(&w)
	}
	return err
}

// logWrite is a write to the log that has taken too long. It may still return before anybody acts on that.
type logWrite struct {
	returned, poisoned bool // guarded by instance.watchMu
}

// poison cuts the instance off, unless the write has returned.
func (in *instance) poison(w *logWrite, after time.Duration) {
	if !in.notePoisoned(w, after) {
		return
	}
	in.layer.Close()
	if in.starved() {
		in.log.Error("the log has had no file descriptor for too long; this node takes no part until it has",
			"after", after)
		return
	}
	in.log.Error("the disk has not answered for too long; this node takes no part until it does", "after",
		after)
}

// notePoisoned notes that the instance has not waited for a write. It reports false if the write has
// returned.
func (in *instance) notePoisoned(w *logWrite, after time.Duration) bool {
	in.watchMu.Lock()
	defer in.watchMu.Unlock()
	if w.returned {
		return false
	}
	w.poisoned = true
	if in.stalled == nil {
		in.stalled = time.AfterFunc(stallPatience, func() { in.giveUp(w, after+stallPatience) })
	}
	return true
}

// giveUp ends the node's part in the farm because of a write that has not returned, unless it waits for a
// file descriptor: there may be one at any time, and a new process might get none either.
func (in *instance) giveUp(w *logWrite, after time.Duration) {
	in.watchMu.Lock()
	defer in.watchMu.Unlock()
	switch {
	case w.returned:
	case !in.starved():
		in.node.fail(fmt.Errorf("%w for %v", ErrStalled, after))
	default:
		in.stalled = time.AfterFunc(stallPatience, func() { in.giveUp(w, after+stallPatience) })
	}
}

// recovered is called when a write that took too long has returned.
func (in *instance) recovered(w *logWrite) {
	in.watchMu.Lock()
	defer in.watchMu.Unlock()
	if w.returned = true; !w.poisoned {
		return
	}
	if in.stalled != nil {
		in.stalled.Stop()
	}
	in.node.resets.restart(in.server, ErrStalled)
}

// snapshotStream is a snapshot on its way in. raft reads it on its main goroutine and without a deadline, so
// a sender that falls silent without a word would keep this node from voting, and from ever hearing another
// leader.
type snapshotStream struct {
	io.Reader
	transport *transport
}

func (s *snapshotStream) Read(p []byte) (int, error) {
	s.transport.inbound.Add(1)
	defer s.transport.inbound.Add(-1)
	t := time.AfterFunc(streamPatience, s.transport.layer.hangUp)
	defer t.Stop()
	return s.Reader.Read(p)
}

// noteTransfer notes how an entry fared. raft can forget to end a transfer of leadership, and then refuses
// everything, as the leader, for ever (raft issue 696): a new instance takes its place.
func (l *leadership) noteTransfer(err error) {
	l.in.watchMu.Lock()
	defer l.in.watchMu.Unlock()
	if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		l.transferring = time.Time{}
		return
	}
	switch now := time.Now(); {
	case l.transferring.IsZero():
		l.transferring = now
	case now.Sub(l.transferring) > 4*l.in.node.cfg.Tuning.Heartbeat:
		l.in.node.resets.restart(l.in.server, errors.New("a transfer of leadership does not end"))
	}
}
