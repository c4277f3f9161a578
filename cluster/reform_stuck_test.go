package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// serverSet returns what the nodes are called in Raft, as a set.
func serverSet(nodes ...*labNode) map[string]bool {
	set := map[string]bool{}
	for _, n := range nodes {
		set[n.instance().server] = true
	}
	return set
}

func ids(nodes ...*labNode) (out []string) {
	for _, n := range nodes {
		out = append(out, n.ID())
	}
	return out
}

// Each of the two nodes that are left is a successor in its own view, and has promised to follow itself. The
// one that holds less gives way to the other one, and the other one does not give way to it.
func TestTwoSuccessors(t *testing.T) {
	t.Parallel()
	together(t, 5, false, func(l *lab) {
		leader, others := l.leader()
		l.fill(leader, "k", l.nodes...)
		left, lost := others[:2], append(others[2:], leader)
		for _, n := range lost {
			n.kill()
		}
		time.Sleep(5 * time.Second)
		s := left[0].surveys.look(l.ctx(time.Minute), left[0].self().cluster, serverSet(lost...), true)
		if err := s.Verdict(); err != nil {
			t.Fatal(err)
		}
		heir, other := left[0], left[1]
		if s.Successor() != heir.instance().server {
			heir, other = other, heir
		}
		follow := func(n *labNode) []byte {
			return wire.AppendStrings(wire.AppendString(wire.AppendString(nil, n.self().cluster),
				n.instance().server), nil)
		}
		for _, n := range left {
			if err := n.recovery.answerFollow(follow(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := heir.recovery.answerFollow(follow(other)); !errors.Is(err, wire.ErrWordGiven) {
			t.Errorf("the one that is to succeed follows the other: %v", err)
		}
		if err := other.recovery.answerFollow(follow(heir)); err != nil {
			t.Errorf("neither gives way: %v", err)
		}
		cluster := wire.AppendString(nil, other.self().cluster)
		if err := other.recovery.answerReform(l.ctx(time.Minute), cluster); !errors.Is(err, wire.ErrNotReformed) {
			t.Errorf("the one that gave way re-forms the farm: %v", err)
		}
		word := other.standing.Word().Successor // back to before: as if the farm were not re-formed yet
		if err := other.standing.Promise(other.standing.Identity(), other.instance().server,
			word, other.members.here); err != nil {
			t.Fatal(err)
		}
		l.comeBack("k", lost...)
	})
}

// The farm is re-formed, the others have given up what they had, and the only one that has the farm is lost
// as well. The state is gone; but the nodes, who stand there with nothing, found a new farm instead of
// waiting for ever.
func TestSuccessorIsLostWithTheFarm(t *testing.T) {
	t.Parallel()
	together(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		l.fill(leader, "k", l.nodes...)
		lost := append([]*labNode{leader}, others[0])
		heir := others[1]
		for _, n := range lost {
			n.kill()
		}
		time.Sleep(5 * time.Second)
		if err := heir.Recover(l.ctx(time.Minute), ids(lost...)); err != nil {
			t.Fatal(err)
		}
		for _, n := range lost {
			n.start()
		}
		l.ready(l.nodes...)
		// Restore does the same to a farm that is whole: the other two give up their state, and the successor
		// is killed in that moment.
		slow := 50 * time.Millisecond
		for _, n := range lost {
			l.net.Delay(heir.ip, n.ip, slow)
		}
		backup := snapshotOf(l.t, heir)
		if err := heir.Restore(l.ctx(time.Minute), bytes.NewReader(backup)); err != nil {
			t.Fatal(err)
		}
		for lost[0].self().cluster != "" || lost[1].self().cluster != "" {
			if lost[0].self().cluster == heir.self().cluster ||
				lost[1].self().cluster == heir.self().cluster {
				t.Fatal("they were taken in before the one that holds the farm could be lost")
			}
			time.Sleep(time.Millisecond)
		}
		heir.kill()
		for _, n := range lost {
			l.net.Delay(heir.ip, n.ip, 0)
		}
		heir.start()
		l.ready(l.nodes...)
		lost[0].must("set anew 1")
	})
}

// unwritable is a state machine whose snapshot cannot be written.
type unwritable struct{ StateMachine }

func (unwritable) Snapshot() io.WriterTo { return unwritable{} }

func (unwritable) WriteTo(io.Writer) (int64, error) { return 0, errUnwritable }

var errUnwritable = errors.New("disk full")

// A re-forming fails before the identity is saved: the node says so and goes on with the log it had, and so
// does the farm. Nothing of the new log stays in the way.
func TestReformingFails(t *testing.T) {
	t.Parallel()
	together(t, 3, true, func(l *lab) {
		leader, _ := l.leader()
		l.fill(leader, "k", l.nodes...)
		before := leader.State().ClusterID
		full := func() StateMachine { return unwritable{newKV()} }
		machines := func() map[string]replica.Machine { return map[string]replica.Machine{"kv": full()} }
		state := replica.New(replica.Config{Machines: machines, MaxLevel: wire.ProtocolMax})
		if err := leader.resets.orderReform(l.ctx(time.Minute), "", state); !errors.Is(err, wire.ErrNotReformed) ||
			!errors.Is(err, errUnwritable) {
			t.Errorf("re-formed, though the snapshot cannot be written: %v", err)
		}
		for i, n := range l.nodes {
			n.must("set after%d 1", i)
			l.filled(n, "k")
			if id := n.State().ClusterID; id != before || n.Err() != nil {
				t.Errorf("%s: cluster ID %s, was %s; %v", n.conf.Name, id, before, n.Err())
			}
		}
		if rest, _ := filepath.Glob(filepath.Join(leader.conf.Dir, logDir+"-*")); len(rest) > 0 {
			t.Errorf("left lying about: %v", rest)
		}
	})
}

// The disk takes no new identity. The node cannot go on and says why, an order to it ends, and the others go
// on. When the disk is mended it comes back.
func TestReformingFailsOnDisk(t *testing.T) {
	t.Parallel()
	together(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		l.fill(leader, "k", l.nodes...)
		backup := snapshotOf(l.t, leader)
		blocked := filepath.Join(leader.conf.Dir, "identity.tmp")
		if err := os.Mkdir(blocked, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := leader.Restore(l.ctx(time.Minute),
			bytes.NewReader(backup)); !errors.Is(err, wire.ErrNotReformed) {
			t.Errorf("restored, though the identity cannot be saved: %v", err)
		}
		if err := leader.Restore(context.Background(), bytes.NewReader(backup)); err == nil ||
			leader.Err() == nil {
			t.Errorf("%v, %v: the node is to say that it cannot go on", err, leader.Err())
		}
		others[0].must("set meanwhile 1")
		leader.stop()
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		leader.start()
		l.ready(leader)
		leader.must("set after 1")
		l.filled(leader, "k")
	})
}

// Two orders at once, and writers that do not stop: one order is carried out after the other or refused with
// a reason, and no writer is told what is not so.
// Slow: three writers go on through two restores, in memory and with disks.
func TestRestoreTwiceUnderLoad(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprint("durable ", durable), func(t *testing.T) {
			together(t, 3, durable, func(l *lab) {
				leader, others := l.leader()
				l.fill(leader, "k", l.nodes...)
				backup := snapshotOf(l.t, leader)
				ctx, stop := context.WithCancel(l.t.Context())
				var load sync.WaitGroup
				for i, n := range l.nodes {
					load.Go(func() {
						for j := 0; sleep.For(ctx, 5*time.Millisecond); j++ {
							n.Handle("kv").Propose(ctx, fmt.Appendf(nil, "set w%d %d", i, j))
						}
					})
				}
				var wg sync.WaitGroup
				done := make([]error, 2)
				for i := range done {
					wg.Go(func() { done[i] = others[0].Restore(l.ctx(time.Minute), bytes.NewReader(backup)) })
				}
				wg.Wait()
				if done[0] != nil && done[1] != nil {
					t.Errorf("neither was carried out: %v; %v", done[0], done[1])
				}
				for _, err := range done {
					if errors.Is(err, wire.ErrNotMe) {
						t.Errorf("an operator cannot know what that means: %v", err)
					}
				}
				l.oneFarm(others[0])
				stop()
				load.Wait()
				for i, n := range l.nodes {
					l.filled(n, "k")
					n.must("set after%d 1", i)
				}
			})
		})
	}
}

// A node closes in the middle of each step.
// Slow: it closes a node in the middle of every step, in a farm of its own.
func TestCloseWhileReforming(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		for pause := range 8 {
			if inMemory := pause%2 == 0; inMemory == durable && !ci.Torture() {
				continue // the other one does the same then
			}
			together(t, 3, durable, func(l *lab) {
				leader, others := l.leader()
				l.fill(leader, "k", l.nodes...)
				gone, left := []*labNode{leader, others[0]}, others[1]
				words := ids(gone...)
				for _, n := range gone {
					n.kill()
				}
				time.Sleep(4 * time.Second)
				var wg sync.WaitGroup
				wg.Go(func() { left.Recover(l.ctx(time.Minute), words) })
				time.Sleep(time.Duration(pause) * 150 * time.Millisecond)
				left.stop()
				wg.Wait()
				for _, n := range append(gone, left) {
					n.start()
				}
				if durable {
					l.ready(l.nodes...)
					l.filled(left, "k")
				} else {
					l.ready(l.nodes...) // nobody had anything left
				}
			})
		}
	}
}
