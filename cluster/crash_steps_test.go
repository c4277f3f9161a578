package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Every change of the data directory that takes more than one step, stopped after each of them as by a crash:
// the next start finishes it, or goes on as if it had not begun. The steps are listed in DESIGN.md.

// endingStore is a log whose process ends before its first entry is written.
type endingStore struct{ raftlog.Store }

func (endingStore) StoreLog(*raft.Log) error    { return errFull }
func (endingStore) StoreLogs([]*raft.Log) error { return errFull }

func TestCrashWhileFounding(t *testing.T) {
	unformed(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store { return endingStore{inner} }
		n.start()
		l.until(time.Minute, "the first entry was not written",
			func() bool { return errors.Is(n.Err(), ErrDisk) })
		n.stop()
		var term uint64
		inDir(l, n, func(d *disk.Dir, id *disk.Identity) {
			s, err := raftlog.OpenDurable(d.Path(filepath.Join(logDir, "log")), 0, raftLogger(testLogger()))
			if err != nil {
				l.t.Fatal(err)
			}
			defer s.Close()
			if term, err = s.GetUint64([]byte("CurrentTerm")); err != nil || id.ClusterID == "" ||
				!id.Founding {
				l.t.Fatalf("%+v, %v", id, err)
			}
		})
		if term == 0 {
			l.t.Fatal("the step before was not done either")
		}
		n.hooks.wrapStore = nil
		n.start()
		l.ready(n)
		n.must("set k v")
	})
}

// inDir lets f look at, and change, the directory of a node that does not run.
func inDir(l *lab, n *labNode, f func(d *disk.Dir, id *disk.Identity)) {
	l.t.Helper()
	d, err := disk.Open(n.conf.Dir)
	if err != nil {
		l.t.Fatal(err)
	}
	defer d.Close()
	id, _, err := d.Identity()
	if err != nil {
		l.t.Fatal(err)
	}
	f(d, &id)
	if err := d.SaveIdentity(id); err != nil {
		l.t.Fatal(err)
	}
}

// A farm is re-formed: the new log is made beside the old one. The saved identity decides which of them
// counts. Then the old one is moved aside, and the new one gets its name.
func TestCrashWhileReforming(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		identity, aside, unmade bool
		want                    string
	}{
		{name: "while the new log is made", unmade: true, want: "old"},
		{name: "before the identity", want: "old"},
		{name: "after the identity", identity: true, want: "new"},
		{name: "after the old log was moved aside", identity: true, aside: true, want: "new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inLab(t, 1, true, func(l *lab) {
				n := l.nodes[0]
				n.must("set k old")
				in := n.instance()
				state, _ := n.detachedState()
				frozen, err := in.fsm.Snapshot()
				if err != nil {
					l.t.Fatal(err)
				}
				restoreInto(l, frozen, state)
				state.Machine("kv").Apply(1, time.Now(), []byte("set k new"))
				const inc = "00000000000000aa"
				n.stop()
				n.reopenedLog(l, state, inc, tt.unmade)
				inDir(l, n, func(d *disk.Dir, id *disk.Identity) {
					if tt.identity {
						id.Incarnation, id.ClusterID = inc, nextEpoch(id.ClusterID)
					}
					if tt.aside {
						if _, err := d.Discard(logDir); err != nil {
							l.t.Fatal(err)
						}
					}
				})
				for range 2 {
					n.start()
					l.ready(n)
					if got := n.get("k"); got != tt.want {
						l.t.Fatalf("k = %q", got)
					}
					n.must("set other v")
					if left, _ := filepath.Glob(filepath.Join(n.conf.Dir, newLogDir("*"))); len(left) > 0 {
						l.t.Errorf("%v are left", left)
					}
					n.stop()
				}
				n.start()
				l.ready(n)
			})
		})
	}
}

// restoreInto makes state what frozen is.
func restoreInto(l *lab, frozen raft.FSMSnapshot, state *replica.State) {
	l.t.Helper()
	f, err := os.CreateTemp(l.t.TempDir(), "")
	if err != nil {
		l.t.Fatal(err)
	}
	if err := frozen.(*replica.Snapshot).Write(f); err != nil {
		l.t.Fatal(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		l.t.Fatal(err)
	}
	if err := state.Restore(f); err != nil { // which closes f
		l.t.Fatal(err)
	}
}

// reopenedLog makes the log of an incarnation to come, or only the beginning of it, in the directory of a
// node that does not run.
func (n *labNode) reopenedLog(l *lab, state *replica.State, inc string, unmade bool) {
	l.t.Helper()
	inDir(l, n, func(d *disk.Dir, id *disk.Identity) {
		path := d.Path(newLogDir(inc))
		store, err := raftlog.OpenDurable(filepath.Join(path, "log"), 0, raftLogger(testLogger()))
		if err != nil {
			l.t.Fatal(err)
		}
		defer store.Close()
		snaps, err := raftlog.NewSnapshots(path, raftLogger(testLogger()))
		if err != nil || unmade {
			if err != nil {
				l.t.Fatal(err)
			}
			return
		}
		server := wire.ServerID(id.NodeID, inc)
		s, index := state.Rebase(100, replica.SoleVoter(server))
		if err := (openLog{store, snaps}).seed(s, 5, index, server, n.instance().transport); err != nil {
			l.t.Fatal(err)
		}
	})
}

// What a node does to begin anew: it moves its log aside, takes a promise back, and saves another
// incarnation.
func TestCrashWhileBeginningAnew(t *testing.T) {
	for _, promised := range []bool{true, false} {
		inLab(t, 3, true, func(l *lab) {
			leader, others := l.leader()
			n := others[0]
			leader.must("set k v")
			n.stop()
			var before string
			inDir(l, n, func(d *disk.Dir, id *disk.Identity) {
				before = id.Incarnation
				var p disk.Promise
				if promised {
					p = disk.Promise{ClusterID: id.ClusterID,
						Server: wire.ServerID(id.NodeID, id.Incarnation), To: "another.1"}
				}
				if err := d.SavePromise(p); err != nil {
					l.t.Fatal(err)
				}
				if _, err := d.Discard(logDir); err != nil {
					l.t.Fatal(err)
				}
			})
			n.start()
			l.ready(n)
			if now := n.self().server; now == wire.ServerID(n.ID(), before) {
				l.t.Error("it votes under the name of the log that it has moved aside")
			}
			leader.must("set k w")
			l.until(time.Minute, "it has the state", func() bool { return n.get("k") == "w" })
		})
	}
}
