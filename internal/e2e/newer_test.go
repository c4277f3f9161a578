package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	webfarm "github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/session"
)

// later is a state machine that only the newest program has.
type later struct{}

func (later) Apply(uint64, time.Time, []byte) []byte { return nil }
func (later) Query([]byte) []byte                    { return nil }
func (later) Snapshot() io.WriterTo                  { return strings.NewReader("later") }
func (later) Restore(r io.Reader) error              { _, err := io.Copy(io.Discard, r); return err }

// newest opens a node in this process, of a program that has one more state machine than the shop, and takes a snapshot
// whenever it can.
func (f *farm) newest(withLater bool, join ...string) *webfarm.Farm {
	f.t.Helper()
	_, secret, _ := strings.Cut(f.env[1], "=")
	c := cluster.Config{Tuning: cluster.Tuning{SnapshotBytes: 1}}
	if withLater {
		c.Machines = map[string]func() cluster.StateMachine{"later": func() cluster.StateMachine { return later{} }}
		c.Levels = map[string]func([]byte) int{"later": func([]byte) int { return 4 }}
	}
	n, err := webfarm.Open(webfarm.Config{Farm: farmName, App: "newest", Name: "newest", HTTP: webfarm.None, Admin: webfarm.None,
		Peer: "127.0.0.1:0", Join: join, Secrets: []string{secret}, Dir: filepath.Join(f.dir, "newest"), Logger: slog.New(slog.DiscardHandler),
		Cluster: c})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { n.Close() })
	f.until("the newest node is ready", func() error { return n.Ready(f.t.Context()) })
	return n
}

// refused checks that nothing is proposed to the new machine.
func (f *farm) refused(n *webfarm.Farm) {
	f.t.Helper()
	h := n.Cluster().Handle("later")
	if _, _, err := h.Propose(f.t.Context(), []byte("x")); !errors.Is(err, cluster.ErrLevel) {
		f.t.Errorf("proposed to a machine that the old nodes lack, at level %d: %v", h.Level(), err)
	}
}

// A program with a new state machine works beside the one of the release before, which lacks it: as the leader that feeds the
// others by a snapshot, and as a follower. Nothing is proposed to the new machine, and no old node ends for it.
func TestNewMachineBesideTheLastRelease(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("the program of the last release has no race detector in it; this test is one of what nodes say to each other")
	}
	bin := oldShop(t)
	f := newFarm(t, 2, true)
	first := f.nodes[0]
	first.bin = bin
	first.start() // the farm is the old program's, so it works at the level of that
	first.awaitReady()
	force, _ := first.levels()
	withLater := force < 4 // else the level that the new machine needs is in force already, and nothing protects an older program
	fresh := f.newest(withLater, first.peer)
	f.until("the newest node votes", func() error { // else the farm has no majority once the first one has stopped
		st := fresh.Cluster().State()
		if m, _ := st.Member(st.Self); m.Vote != cluster.Voter {
			return fmt.Errorf("its vote is %q", m.Vote)
		}
		return nil
	})
	first.stop()
	h := fresh.Cluster().Handle("session")
	store := session.NewReplicated(h, func() *session.Machine { return h.Local().(*session.Machine) },
		func() string { return "" })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 600 { // more than what a log keeps behind a snapshot
		_, err := store.Do(ctx, session.Tick{Limit: 1})
		ci.Awaited(t, "a change by the newest node", err)
	}
	f.until("a snapshot", func() error {
		if all, err := filepath.Glob(filepath.Join(f.dir, "newest", "raft", "snapshots", "*", "state.bin")); len(all) == 0 || err != nil {
			return fmt.Errorf("none: %v", err)
		}
		return nil
	})
	for _, n := range f.nodes {
		n.bin = bin
		n.start(fresh.Cluster().Addr())
	}
	f.settleUnderLoad()
	if withLater {
		f.refused(fresh)
	}
	l := f.load()
	if err := fresh.Close(); err != nil { // one of the old ones leads from now on
		t.Error(err)
	}
	l.goOn()
	var join []string
	for _, n := range f.nodes {
		join = append(join, n.peer)
	}
	fresh = f.newest(withLater, join...)
	if withLater {
		f.refused(fresh)
	}
	f.nodes[0].kill()
	f.nodes[0].start(append(join[1:], fresh.Cluster().Addr())...)
	f.settleUnderLoad()
	if withLater {
		f.refused(fresh)
	}
	l.goOn()
	l.finish()
	if err := fresh.Close(); err != nil {
		t.Error(err)
	}
	f.stop()
}
