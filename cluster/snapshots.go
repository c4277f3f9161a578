package cluster

import (
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	snapshotEvery = 10 * time.Minute // if anything was written
	snapshotCheck = time.Second
	snapshotAgain = time.Second // after one that failed; twice as long after each that fails in a row
	snapshotRests = time.Minute // between two tries at the most
	// entries that stay behind a snapshot, if they have no more bytes than SnapshotBytes
	leastTrailing = 256
	leastBytes    = 1 << 20 // or than these
	keepFactor    = 4       // times SnapshotBytes of the log are kept for a follower
	keepSnapshots = 2       // times the size of the snapshot that it was sent, if that is more
	keepDoublings = 2       // twice as much for each snapshot that was too old when it had it, so many times
)

// A node may be without a snapshot that it can read for so long, and for so many tries: one of a large state
// takes its time.
const (
	unreadablePatience = 30 * time.Second
	unreadableTries    = 3
)

// snapshotSchedule says when a node takes a snapshot: when as many bytes have gone through the log as
// SnapshotBytes, or as the state has, or after some time. Nodes get the same bytes at the same moment, so
// each takes somewhat more, and whoever leads takes most.
type snapshotSchedule struct {
	server string
	least  int64 // bytes

	taken    uint64    // how many there were
	last     time.Time // when the latest was begun
	counted  int64     // bytes, by snapshots that failed since the latest that did not
	failures int       // since then
	again    time.Time // not before
}

// due reports whether a snapshot is to be taken: bytes were applied since the latest one was begun, and the
// state has size bytes.
func (s *snapshotSchedule) due(now time.Time, bytes, size int64, leads bool) bool {
	bytes += s.counted
	if bytes == 0 || now.Before(s.again) {
		return false
	}
	spread := s.spread(leads)
	return float64(bytes) >= float64(max(s.least, size))*spread ||
		float64(now.Sub(s.last)) >= float64(snapshotEvery)*spread
}

// spread returns a factor from 1 to 1.5.
func (s *snapshotSchedule) spread(leads bool) float64 {
	if leads {
		return 1.5
	}
	h := fnv.New32a()
	h.Write([]byte(s.server))
	h.Write([]byte{byte(s.taken)})
	return 1 + float64(h.Sum32()%1000)/2500
}

// done notes how a snapshot fared that covers so many bytes. After a failure it returns when the next try is.
func (s *snapshotSchedule) done(now time.Time, bytes int64, err error) (wait time.Duration) {
	s.last = now
	if err == nil {
		s.taken++
		s.counted, s.failures, s.again = 0, 0, time.Time{}
		return 0
	}
	s.counted += bytes
	wait = min(snapshotAgain<<min(s.failures, 16), snapshotRests)
	s.failures++
	s.again = now.Add(wait)
	return wait
}

// snapshotting takes snapshots, and makes another one where one cannot be read.
type snapshotting struct {
	*core
	storage   *storage
	tuner     *tuner
	leading   *leading
	breakage  *breakage
	stateSize atomic.Int64  // of the newest snapshot on disk, in bytes; 0 = not known
	now       chan struct{} // holds one: a snapshot is to take the place of one that cannot be read

	mu              sync.Mutex
	unreadableSince time.Time // of the newest snapshot; zero = it can be read, as far as known
	tries           int       // to replace that one
}

// run takes snapshots, and drops what is left of the log when nobody needs it any more.
func (sn *snapshotting) run() {
	s := &snapshotSchedule{server: sn.server, least: sn.node.cfg.Tuning.SnapshotBytes, last: time.Now()}
	for sleep.For(sn.ctx, snapshotCheck) {
		select {
		case <-sn.now:
			sn.replace()
			continue
		default:
		}
		if err := sn.storage.kept.Drop(); err != nil {
			sn.log.Warn("the beginning of the log cannot be dropped", keyError, err)
		}
		bytes, entries := sn.fsm.Pending()
		if !s.due(time.Now(), bytes, sn.stateSize.Load(), sn.leading.now() != nil) {
			continue
		}
		begun := time.Now()
		err := sn.take(bytes, entries)
		if errors.Is(err, raft.ErrNothingNewToSnapshot) {
			err = nil
		} else {
			sn.node.meters.snapshots.taken(begun, err)
		}
		if wait := s.done(time.Now(), bytes, err); err != nil && sn.ctx.Err() == nil {
			sn.log.Warn("no snapshot could be taken, so the log grows; there is another try", keyError, err,
				"in", wait)
		}
	}
}

// take takes one, and keeps some of the log behind it: a follower that was away for a moment shall
// not need a snapshot.
func (sn *snapshotting) take(bytes, entries int64) error {
	if err := sn.tuner.setTrailing(staying(sn.node.cfg.Tuning.SnapshotBytes, bytes, entries)); err != nil {
		return err
	}
	return sn.guard(sn.raft.Snapshot())
}

// staying returns how many entries stay behind a snapshot, if so many had so many bytes: as many as take a
// quarter of SnapshotBytes, since raft counts entries, of whatever size.
func staying(snapshotBytes, bytes, entries int64) uint64 {
	few := max(snapshotBytes, leastBytes) * entries / max(bytes, 1)
	return uint64(max(snapshotBytes/4*entries/max(bytes, 1), min(leastTrailing, few), 1))
}

// needed returns the first entry that a follower which can be reached has yet to be sent: one that is sent a
// snapshot needs all behind it. Who would need more of the log than is kept for anybody gets another
// snapshot, and more is kept behind that.
func (sn *snapshotting) needed(size func(from uint64) int64) (first uint64) {
	threshold := sn.node.cfg.Tuning.SnapshotBytes
	for _, f := range sn.layer.followers.all() {
		from, weighs, late := f.needs()
		if from == 0 {
			continue
		}
		behind := size(from)
		if behind <= threshold {
			f.caughtUp()
		}
		if behind > max(keepFactor*threshold, keepSnapshots*weighs)<<min(late, keepDoublings) {
			continue
		}
		if first == 0 || from < first {
			first = from
		}
	}
	return first
}

// unreadable is called when the newest snapshot, or one that was to be restored, cannot be read.
func (sn *snapshotting) unreadable(err error) {
	sn.mu.Lock()
	first := sn.unreadableSince.IsZero()
	if first {
		sn.unreadableSince = time.Now()
	}
	sn.mu.Unlock()
	if first {
		sn.log.Error("a snapshot cannot be read; another one is made", keyError, err)
	}
	signal(sn.now)
}

// replace makes a snapshot in the place of one that cannot be read. When none comes about that can
// be, the disk is of no use, and somebody else has to lead.
func (sn *snapshotting) replace() {
	err := sn.take(sn.fsm.Pending())
	if err == nil {
		err = sn.readNewest()
	}
	sn.mu.Lock()
	since := sn.unreadableSince
	sn.tries++
	tries := sn.tries
	if err == nil {
		sn.unreadableSince, sn.tries = time.Time{}, 0
	}
	sn.mu.Unlock()
	switch {
	case err == nil:
		sn.log.Info("there is a snapshot again that can be read")
	case tries >= unreadableTries && time.Since(since) > unreadablePatience && !descriptors.Exhausted(err):
		sn.breakage.breakDown(fmt.Errorf("no snapshot can be made in the place of a damaged one: %w", err))
	default:
		signal(sn.now)
	}
}

// findStateSize notes how large the newest snapshot on disk is.
func (sn *snapshotting) findStateSize() error {
	listed, err := sn.storage.snaps.List()
	if err == nil && len(listed) > 0 && sn.node.durable() {
		sn.stateSize.Store(listed[0].Size)
	}
	return err
}

func (sn *snapshotting) readNewest() error {
	listed, err := sn.storage.snaps.List()
	if err != nil || len(listed) == 0 {
		return errors.Join(err, errors.New("there is no snapshot"))
	}
	_, r, err := sn.storage.snaps.Open(listed[0].ID)
	if err != nil {
		return err
	}
	return r.Close()
}
