package cluster

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// saved returns a backup of the farm, as an operator gets it.
func (l *lab) saved() []byte {
	l.t.Helper()
	var b bytes.Buffer
	if _, err := l.operator().Backup(l.ctx(time.Minute), &b); err != nil {
		l.t.Fatal(err)
	}
	return b.Bytes()
}

// A restore gives the state that was saved. A backup that is not whole changes nothing.
// Slow: a farm is saved, changed and restored, on disks.
func TestOperatorRestores(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		together(t, 3, durable, func(l *lab) {
			leader, others := l.leader()
			l.fill(leader, "k", l.nodes...)
			good := l.saved()
			leader.must("set later 1")
			before := leader.State().ClusterID
			op := l.operator().At(others[0].conf.Listen)
			broken := bytes.Clone(good)
			broken[len(broken)/2] ^= 1
			cut := good[:len(good)-1]
			for name, c := range map[string]struct {
				cluster string
				src     io.Reader
				want    error
			}{
				"another farm by now": {"seen-long-ago", bytes.NewReader(good), admin.ErrRefused},
				"changed":             {before, bytes.NewReader(broken), backup.ErrDamaged},
				"cut":                 {before, bytes.NewReader(cut), backup.ErrDamaged},
				"nothing":             {before, bytes.NewReader(nil), backup.ErrFormat},
				"no state in it":      {before, bytes.NewReader(made(t, "no snapshot")), backup.ErrDamaged},
				"cannot be read": {before, io.MultiReader(bytes.NewReader(good[:100]),
					iotest.ErrReader(io.ErrNoProgress)), io.ErrNoProgress},
			} {
				if _, err := op.Restore(l.ctx(time.Minute), c.cluster, c.src); !errors.Is(err, c.want) &&
					!(c.want == backup.ErrDamaged && errors.Is(err, admin.ErrUnsupported)) {
					t.Errorf("%s: %v, want %v", name, err, c.want)
				}
				leader.must("set later 2")
				if now := leader.State().ClusterID; now != before {
					t.Fatalf("%s: the cluster ID is %s, was %s", name, now, before)
				}
			}
			done, err := op.Restore(l.ctx(time.Minute), before, bytes.NewReader(good))
			if err != nil || !supersedes(done.ClusterID, before) || done.Index == 0 {
				t.Fatalf("%+v, %v", done, err)
			}
			l.until(time.Minute, "all are of the next epoch", func() bool {
				f := l.farm(leader)
				voters, alive := f.Voters()
				return f.ClusterID == done.ClusterID && voters == 3 && alive == 3 && f.Quorum
			})
			for _, n := range l.nodes {
				if err := n.Handle("kv").Barrier(l.ctx(time.Minute)); err != nil {
					t.Fatal(err)
				}
				l.filled(n, "k")
				if got := n.get("later"); got != "" {
					t.Errorf("%s has later=%s, which is not in the backup", n.conf.Name, got)
				}
				if left, _ := filepath.Glob(filepath.Join(n.conf.Dir, "restore.tmp")); n.conf.Dir != "" &&
					left != nil {
					t.Errorf("left over: %v", left)
				}
			}
		})
	}
}

// made returns a whole backup whose state is some text.
func made(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := backup.NewWriter(&b, backup.Header{Farm: "webfarm"})
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A backup that holds what the programs of the farm do not know is not restored.
func TestRestoreOfAnotherProgram(t *testing.T) {
	t.Parallel()
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.must("set x 1")
		machines := func() map[string]replica.Machine { return map[string]replica.Machine{"other": newKV()} }
		f := replica.New(replica.Config{Machines: machines, MaxLevel: wire.ProtocolMax})
		s, err := f.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		var state bytes.Buffer
		if err := s.(*replica.Snapshot).Write(&state); err != nil {
			t.Fatal(err)
		}
		_, err = l.operator().Restore(l.ctx(time.Minute), "", bytes.NewReader(made(t, state.String())))
		if !errors.Is(err, admin.ErrUnsupported) || !strings.Contains(err.Error(), `"other"`) {
			t.Errorf("a state machine that nobody has: %v", err)
		}
		if n.must("set x 2"); n.get("x") != "2" {
			t.Error("the state has changed")
		}
		if _, err := os.Stat(filepath.Join(n.conf.Dir, "restore.tmp")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left over: %v", err)
		}
	})
}

// Slow: a farm loses its majority, and is recovered, on disks.
func TestOperatorRecovers(t *testing.T) {
	t.Parallel()
	together(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		l.fill(leader, "k", l.nodes...)
		op := l.operator().At(others[0].conf.Listen)
		s, err := op.Survey(l.ctx(time.Minute))
		if err != nil || !s.Quorum || len(s.Servers) != 3 || !s.Durable || s.Farm != "webfarm" {
			t.Errorf("%+v, %v", s, err)
		}
		lost := []string{leader.ID(), others[1].ID()}
		if _, err := op.Recover(l.ctx(time.Minute), s.ClusterID, lost); !errors.Is(err, admin.ErrRefused) {
			t.Errorf("recovery of a farm that has a quorum: %v", err)
		}
		leader.kill()
		others[1].kill()
		time.Sleep(5 * time.Second)
		s, err = op.Survey(l.ctx(time.Minute))
		if err != nil || s.Quorum || s.Successor != others[0].ID() {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := op.Recover(l.ctx(time.Minute), "seen-long-ago",
			lost); !errors.Is(err, admin.ErrRefused) {
			t.Errorf("decided on what was long ago: %v", err)
		}
		if _, err := op.Recover(l.ctx(time.Minute), s.ClusterID,
			lost[:1]); !errors.Is(err, admin.ErrRefused) {
			t.Errorf("with one not accounted for: %v", err)
		}
		if _, err := op.Recover(l.ctx(time.Minute), s.ClusterID, lost); err != nil {
			t.Fatal(err)
		}
		l.until(time.Minute, "it has a quorum of its own", func() bool {
			f := l.farm(others[0])
			return f.Quorum && supersedes(f.ClusterID, s.ClusterID)
		})
		l.filled(others[0], "k")
		leader.start()
		others[1].start()
		l.until(time.Minute, "all have joined the next epoch",
			func() bool { return leader.State().Ready && others[1].State().Ready })
	})
}

// A backup arrives slowly. If the farm gets another cluster ID meanwhile, it keeps what it has.
func TestRestoreOfAFarmThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	together(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.must("set x 1")
		good := l.saved()
		seen := n.State().ClusterID
		between := onceRead(func() {
			if err := n.Restore(l.ctx(time.Minute), bytes.NewReader(snapshotOf(l.t, n))); err != nil {
				l.t.Error(err)
			}
			n.must("set y 1")
		})
		src := io.MultiReader(bytes.NewReader(good[:10]), between, bytes.NewReader(good[10:]))
		_, err := l.operator().Restore(l.ctx(time.Minute), seen, src)
		if !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "changed meanwhile") {
			t.Errorf("restored on another farm than was looked at: %v", err)
		}
		if n.get("y") != "1" {
			t.Error("what was written since is gone")
		}
	})
}

// onceRead is a reader of nothing that calls the function when it is read.
type onceRead func()

func (f onceRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// snapshotOf returns the state as a node has it now.
func snapshotOf(t *testing.T, n *labNode) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := n.WriteSnapshot(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A recovery that fails after nodes have stood down is not called a refusal: that would say that nothing has
// changed.
// Slow: a farm waits until its majority counts as lost, and its recovery fails.
func TestRecoveryHalfWay(t *testing.T) {
	t.Parallel()
	together(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		op := l.operator().At(others[0].conf.Listen)
		leader.kill()
		others[1].kill()
		time.Sleep(5 * time.Second)
		s, err := op.Survey(l.ctx(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		n := others[0].Node
		if err := n.standing.Promise(n.standing.Identity(), "somebody.else", "", n.members.here); err != nil {
			t.Fatal(err)
		}
		_, err = op.Recover(l.ctx(2*time.Minute), s.ClusterID, []string{leader.ID(), others[1].ID()})
		if err == nil || errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "try again") {
			t.Errorf("after it had stood down: %v", err)
		}
		if err := n.standing.Promise(n.standing.Identity(), "", "somebody.else", n.members.here); err != nil {
			t.Fatal(err)
		}
		leader.start()
		others[1].start()
		l.ready(l.nodes...) // the one that stood down votes again
	})
}
