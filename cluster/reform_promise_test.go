package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// stoodDown cuts two of five off and has both stand down, as in a recovery that is to go on without the other
// three. It returns the one that is to go on with the farm, the other one, those away, and the promise to be
// given.
func (l *lab) stoodDown() (successor, other *labNode, away []*labNode, follow []byte) {
	l.t.Helper()
	leader, others := l.leader()
	l.fill(leader, "k", l.nodes...)
	left, away := others[:2], append(others[2:], leader)
	l.cut(left...)
	time.Sleep(5 * time.Second)
	words := serverSet(away...)
	s := left[0].surveys.look(l.ctx(time.Minute), left[0].self().cluster, words, true)
	if err := s.Verdict(); err != nil {
		l.t.Fatal(err)
	}
	i := slices.IndexFunc(left, func(n *labNode) bool { return n.instance().server == s.Successor() })
	follow = wire.AppendStrings(wire.AppendString(wire.AppendString(nil, left[i].self().cluster), s.Successor()),
		sortedKeys(words))
	return left[i], left[1-i], away, follow
}

// promised is stoodDown, and both have given the promise.
func (l *lab) promised() (successor, other *labNode, away []*labNode) {
	l.t.Helper()
	successor, other, away, follow := l.stoodDown()
	for _, n := range []*labNode{successor, other} {
		if err := n.recovery.answerFollow(follow); err != nil {
			l.t.Fatal(err)
		}
	}
	return successor, other, away
}

// A node that has promised not to vote is killed and started again, and some of those given up are there
// after all. With its vote they would be a quorum of the old farm; it keeps its word, and the recovery comes
// to its end.
// Slow: five durable nodes are watched for a while, of which one is given up and there all the same.
func TestPromiseOutlivesRestart(t *testing.T) {
	t.Parallel()
	together(t, 5, true, func(l *lab) {
		successor, other, away := l.promised()
		before := successor.State().ClusterID
		away[0].kill()
		other.kill()
		other.start()
		l.net.Heal()
		time.Sleep(5 * time.Second)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			for _, n := range []*labNode{other, away[1], away[2]} {
				if n.State().Leader != "" {
					t.Fatalf("%s has a leader: who had promised not to vote votes", n.conf.Name)
				}
			}
		}
		if err := successor.recovery.answerReform(l.ctx(time.Minute), wire.AppendString(nil, before)); err != nil {
			t.Fatal(err)
		}
		away[0].start()
		l.oneFarm(l.nodes[0])
		for _, n := range l.nodes {
			l.filled(n, "k")
			if id := n.State().ClusterID; !supersedes(id, before) {
				t.Errorf("%s: cluster ID %s, was %s", n.conf.Name, id, before)
			}
		}
		l.until(time.Minute, "all vote again", func() bool { return len(successor.instance().voters()) == 5 })
		other.kill() // with what is left of the promise
		other.start()
		l.ready(other)
	})
}

// The promise binds nobody for ever: not when the successor takes part again, and not when the farm has a
// quorum after all.
// Slow: a promise ends after minutes, of five durable nodes, in two ways.
func TestPromiseEnds(t *testing.T) {
	t.Parallel()
	if race.Enabled {
		t.Skip(onlyWaitedFor)
	}
	for _, quorum := range []bool{false, true} {
		together(t, 5, true, func(l *lab) {
			successor, other, away := l.promised()
			before := successor.State().ClusterID
			successor.kill()
			other.kill()
			other.start()
			if quorum { // and nobody will ever be able to ask the successor
				l.net.Heal()
			} else {
				away[0].kill()
				away[1].kill()
				l.net.Heal()
				time.Sleep(5 * time.Minute)
				if !other.instance().quiet.ended() {
					t.Fatal("it votes again, though the one that it has promised to follow may go on with " +
						"the farm")
				}
				successor.start()
			}
			l.ready(other)
			other.must("set meanwhile 1")
			if id := other.State().ClusterID; id != before {
				t.Errorf("cluster ID %s, was %s", id, before)
			}
			for _, n := range l.nodes {
				if !n.up || quorum && n == successor {
					n.start()
				}
			}
			l.oneFarm(l.nodes[0])
			for _, n := range l.nodes {
				l.filled(n, "k")
			}
		})
	}
}

// A promise that cannot be written is not given. A promise that cannot be read does not count as none.
// Slow: five durable nodes stand down and start again.
func TestPromiseOnABadDisk(t *testing.T) {
	t.Parallel()
	together(t, 5, true, func(l *lab) {
		_, n, _, follow := l.stoodDown()
		blocked := filepath.Join(n.conf.Dir, "promise.tmp")
		if err := os.Mkdir(blocked, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := n.recovery.answerFollow(follow); err == nil || n.standing.Bound(n.instance().server) {
			t.Errorf("promised, though it cannot be written: %v", err)
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		if err := n.recovery.answerFollow(follow); err != nil {
			t.Fatal(err)
		}
		n.stop()
		path := filepath.Join(n.conf.Dir, "promise")
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(good)
		bad[len(bad)-3] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		c := n.conf
		c.Machines, c.Logger, c.Network = map[string]func() StateMachine{"kv": newKV}, testLogger(),
			l.net.Host(n.ip)
		if again, err := Open(t.Context(), c); err == nil {
			t.Error("started with a promise that cannot be read")
			again.Close()
		} else if !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		n.start()
		if !n.instance().quiet.ended() {
			t.Error("it votes again")
		}
		l.net.Heal()
		l.ready(l.nodes...)
	})
}

// slowStore is a log that takes its time to be read, but for its last entry.
type slowStore struct {
	raftlog.Store
	slow *atomic.Bool
}

func (s slowStore) GetLog(index uint64, l *raft.Log) error {
	if last, err := s.LastIndex(); err == nil && index < last && s.slow.Load() {
		time.Sleep(10 * time.Second)
	}
	return s.Store.GetLog(index, l)
}

// The larger the log of a farm, the longer it takes to re-form the farm. The successor does not give up
// meanwhile, and neither do those that have promised to follow it.
// Slow: five durable nodes, and a log that is slow on purpose.
func TestReformingTakesLong(t *testing.T) {
	t.Parallel()
	unformed(t, 5, true, func(l *lab) {
		l.symmetric()
		slow := map[*labNode]*atomic.Bool{}
		for _, n := range l.nodes {
			flag := new(atomic.Bool)
			slow[n] = flag
			n.hooks.wrapStore = func(s raftlog.Store) raftlog.Store { return slowStore{s, flag} }
			n.start()
		}
		l.ready(l.nodes...)
		successor, other, away := l.promised()
		before := successor.State().ClusterID
		for _, n := range away {
			n.kill()
		}
		l.net.Heal()
		slow[successor].Store(true)
		done := make(chan error, 1)
		go func() { done <- successor.recovery.answerReform(l.ctx(time.Hour), wire.AppendString(nil, before)) }()
		for range 20 {
			time.Sleep(5 * time.Second)
			if !successor.instance().quiet.ended() || !other.instance().quiet.ended() {
				t.Fatal("somebody votes again while the farm is re-formed")
			}
		}
		slow[successor].Store(false)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, n := range away {
			n.start()
		}
		l.oneFarm(l.nodes[0])
		for _, n := range l.nodes {
			l.filled(n, "k")
		}
	})
}
