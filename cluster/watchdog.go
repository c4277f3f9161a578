package cluster

import (
	"errors"
	"fmt"
	"io"
	"sync"
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

// watchedStore watches how long writes to a disk take. A leader whose disk hangs goes on with its heartbeats,
// so nobody would take its place while every write hangs (raft issues 503, 614, 666). A log in memory is not
// watched: a write to it takes long only if the whole process stands still, and with a new instance the node
// would lose all that it holds.
type watchedStore struct {
	raftlog.Store
	stalls *stalls
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
	limit := stallHeartbeats*s.stalls.node.cfg.Tuning.Heartbeat + time.Duration(bytes)*time.Second/slowestDisk
	var w logWrite
	t := time.AfterFunc(limit, func() { s.stalls.poison(&w, limit) })
	err := write()
	if !t.Stop() {
		s.stalls.recovered(&w)
	}
	return err
}

// stalls are the writes to the log that take too long.
type stalls struct {
	*core
	storage *storage

	mu    sync.Mutex
	timer *time.Timer // runs while one does, until the node gives up; nil if none ever did
}

// logWrite is a write to the log that has taken too long. It may still return before anybody acts on that.
type logWrite struct {
	returned, poisoned bool // guarded by stalls.mu
}

// poison cuts the instance off, unless the write has returned.
func (s *stalls) poison(w *logWrite, after time.Duration) {
	if !s.notePoisoned(w, after) {
		return
	}
	s.layer.Close()
	if s.storage.starved() {
		s.log.Error("the log has had no file descriptor for too long; this node takes no part until it has",
			"after", after)
		return
	}
	s.log.Error("the disk has not answered for too long; this node takes no part until it does", "after",
		after)
}

// notePoisoned notes that the instance has not waited for a write. It reports false if the write has
// returned.
func (s *stalls) notePoisoned(w *logWrite, after time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.returned {
		return false
	}
	w.poisoned = true
	if s.timer == nil {
		s.timer = time.AfterFunc(stallPatience, func() { s.giveUp(w, after+stallPatience) })
	}
	return true
}

// giveUp ends the node's part in the farm because of a write that has not returned, unless it waits for a
// file descriptor: there may be one at any time, and a new process might get none either.
func (s *stalls) giveUp(w *logWrite, after time.Duration) {
	if s.hopeless(w, after) { // said without the lock: the logger is code of the program, and may hang
		s.node.fail(fmt.Errorf("%w for %v", ErrStalled, after))
	}
}

// hopeless reports whether there is nothing more to wait for, and else has giveUp look again.
func (s *stalls) hopeless(w *logWrite, after time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.returned {
		return false
	}
	if !s.storage.starved() {
		return true
	}
	s.timer = time.AfterFunc(stallPatience, func() { s.giveUp(w, after+stallPatience) })
	return false
}

// recovered is called when a write that took too long has returned.
func (s *stalls) recovered(w *logWrite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.returned = true; !w.poisoned {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.node.resets.restart(s.server, ErrStalled)
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

// transfers notices a transfer of leadership that does not end: raft can forget to end one, and then refuses
// everything, as the leader, for ever (raft issue 696).
type transfers struct {
	mu    sync.Mutex
	since time.Time // since when raft has refused entries for one; zero = it takes them
}

// note notes how an entry fared. It reports whether raft has refused entries for a transfer for longer than
// that may take.
func (t *transfers) note(err error, patience time.Duration) (stuck bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !errors.Is(err, raft.ErrLeadershipTransferInProgress):
		t.since = time.Time{}
	case t.since.IsZero():
		t.since = time.Now()
	default:
		return time.Since(t.since) > patience
	}
	return false
}

// noteTransfer has a new instance take the place of one whose transfer of leadership does not end.
func (fl *flights) noteTransfer(err error) {
	if fl.transfers.note(err, 4*fl.in.node.cfg.Tuning.Heartbeat) {
		fl.in.node.resets.restart(fl.in.server, errors.New("a transfer of leadership does not end"))
	}
}
