package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/line"
	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
)

// spoiltStore is a log of which some entries cannot be read any more.
type spoiltStore struct {
	raftlog.Store
	from *atomic.Uint64 // index; 0 = none
}

var errBits = errors.New("a bit has flipped")

func (s spoiltStore) GetLog(index uint64, l *raft.Log) error {
	if from := s.from.Load(); from > 0 && index >= from {
		return &raftlog.CorruptError{File: "1.wal", Index: index, Err: errBits}
	}
	return s.Store.GetLog(index, l)
}

// inSpoiltLab runs a test on three nodes with disks of which each can be spoilt.
func inSpoiltLab(t *testing.T, f func(l *lab, spoil map[*labNode]*atomic.Uint64)) {
	unformed(t, 3, true, func(l *lab) {
		spoil := map[*labNode]*atomic.Uint64{}
		for i, n := range l.nodes {
			from := new(atomic.Uint64)
			spoil[n] = from
			n.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store { return spoiltStore{inner, from} }
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		f(l, spoil)
	})
}

// raft panics if it cannot read what it is to apply. A follower that meets such an entry applies and sends
// nothing more, and begins anew when the others do not need it.
func TestEntryDamagedBeforeItIsApplied(t *testing.T) {
	inSpoiltLab(t, func(l *lab, spoil map[*labNode]*atomic.Uint64) {
		leader, others := l.leader()
		hurt := others[0]
		leader.must("set k v")
		in := hurt.instance()
		spoil[hurt].Store(in.last() + 1)
		leader.must("set k w")
		l.until(time.Minute, "its copy has halted", func() bool { return in.fsm.Stopped() })
		spoil[hurt].Store(0)
		l.until(time.Minute, "it joins anew", func() bool { return hurt.instance().server != in.server })
		l.until(time.Minute, "it has the state", func() bool { return hurt.get("k") == "w" })
		if hurt.Err() != nil {
			l.t.Error(hurt.Err())
		}
	})
}

// A leader cannot read an entry that a follower needs. It sends nothing in its place, and another node
// becomes the leader.
func TestEntryDamagedOnTheLeader(t *testing.T) {
	inSpoiltLab(t, func(l *lab, spoil map[*labNode]*atomic.Uint64) {
		leader, others := l.leader()
		away := others[0]
		l.cut(away)
		leader.must("set k v")
		in := leader.instance()
		spoil[leader].Store(in.last())
		l.net.Heal()
		l.until(time.Minute, "its copy has halted", func() bool { return in.fsm.Stopped() })
		spoil[leader].Store(0)
		l.until(time.Minute, "it joins anew", func() bool { return leader.instance().server != in.server })
		l.until(time.Minute, "all have the state",
			func() bool { return away.get("k") == "v" && leader.get("k") == "v" })
	})
}

// Entries that a snapshot covers need not be read: the same incarnation goes on without those that are
// damaged.
func TestEntryDamagedBehindASnapshot(t *testing.T) {
	inSpoiltLab(t, func(l *lab, spoil map[*labNode]*atomic.Uint64) {
		leader, others := l.leader()
		leader.must("set k v")
		hurt := others[0]
		l.until(time.Minute, "it has the write", func() bool { return hurt.get("k") == "v" })
		in := hurt.instance()
		if err := in.snapshotting.take(in.fsm.Pending()); err != nil {
			l.t.Fatal(err)
		}
		spoil[hurt].Store(1)
		var got raft.Log
		if err := in.storage.store.GetLog(2, &got); err != nil || got.Type != raft.LogNoop || got.Term != 0 {
			l.t.Errorf("raft got %v, %v", &got, err)
		}
		spoil[hurt].Store(0)
		l.until(time.Minute, "it has another Raft instance", func() bool { return hurt.instance() != in })
		if hurt.instance().server != in.server {
			l.t.Error("it forgot its log for that")
		}
		leader.must("set k w")
	})
}

// shortened takes a snapshot and cuts the log, so that a node that was away needs the snapshot.
func shortened(l *lab, n *labNode) {
	l.t.Helper()
	time.Sleep(line.Silence) // for so long the log is kept for whoever has stopped
	in := n.instance()
	if err := errors.Join(in.tuner.setTrailing(leastTrailing), in.guard(in.raft.Snapshot())); err != nil {
		l.t.Fatal(err)
	}
	if first, err := in.storage.store.FirstIndex(); err != nil || first < 20 {
		l.t.Fatalf("the log begins with entry %d, %v", first, err)
	}
}

// A follower gets a snapshot from the leader, which replaces its log. Its process dies when the snapshot is
// in place and the log is not removed yet. The next start finishes that.
func TestCrashBetweenSnapshotAndLog(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		late := others[0]
		leader.must("set k v")
		late.stop()
		for range leastTrailing + 50 {
			leader.must("append x 1")
		}
		shortened(l, leader)
		from := filepath.Join(leader.conf.Dir, logDir, "snapshots")
		if err := os.RemoveAll(filepath.Join(late.conf.Dir, logDir, "snapshots")); err != nil {
			l.t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(late.conf.Dir, logDir, "snapshots"), os.DirFS(from)); err != nil {
			l.t.Fatal(err)
		}
		if err := leader.instance().guard(leader.instance().raft.LeadershipTransfer()); err != nil {
			l.t.Fatal(err) // a new leader begins with the newest entry, which is the next one
		}
		late.start()
		l.ready(late)
		leader.must("set k w")
		l.until(time.Minute, "it has the state", func() bool { return late.get("k") == "w" })
		if late.Err() != nil {
			l.t.Error(late.Err())
		}
	})
}

// A leader whose newest snapshot cannot be read makes another one, and the follower that needs it gets that.
func TestLeaderCannotReadItsSnapshot(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		late := others[0]
		late.stop()
		for range leastTrailing + 50 {
			leader.must("append x 1")
		}
		in := leader.instance()
		shortened(l, leader)
		files, _ := filepath.Glob(filepath.Join(leader.conf.Dir, logDir, "snapshots", "*", "state.bin"))
		for _, file := range files {
			if err := flipBit(file); err != nil {
				l.t.Fatal(err)
			}
		}
		late.start()
		l.until(2*time.Minute, "it has the state",
			func() bool { return len(late.get("x")) == len(leader.get("x")) })
		if err := in.snapshotting.readNewest(); err != nil {
			l.t.Error(err)
		}
	})
}

// A snapshot that comes damaged is refused before anything counts on it.
func TestSnapshotComesDamaged(t *testing.T) {
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.must("set k v")
		in := n.instance()
		frozen, err := in.fsm.Snapshot()
		if err != nil {
			l.t.Fatal(err)
		}
		sink, err := in.storage.snaps.Create(raft.SnapshotVersionMax, 1000, 5, in.configuration(), 1, in.transport)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := frozen.(*replica.Snapshot).Write(flipping{sink}); err != nil {
			l.t.Fatal(err)
		}
		var bad *raftlog.CorruptError
		if err := sink.Close(); !errors.As(err, &bad) || bad.Index != 1000 {
			l.t.Errorf("it was taken: %v", err)
		}
		if listed, err := in.storage.snaps.List(); err != nil || len(listed) != 0 {
			l.t.Errorf("%v are listed, %v", listed, err)
		}
	})
}

type flipping struct{ raft.SnapshotSink }

func (f flipping) Write(p []byte) (int, error) {
	q := append([]byte(nil), p...)
	if len(q) > 8 {
		q[len(q)/2] ^= 1
	}
	return f.SnapshotSink.Write(q)
}
