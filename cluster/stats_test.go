package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

func peerOf(t *testing.T, s Stats, n *labNode) admin.Peer {
	t.Helper()
	i := slices.IndexFunc(s.Peers, func(p admin.Peer) bool { return p.Node == n.ID() })
	if i < 0 {
		t.Fatalf("%s is not among the peers of %+v", n.conf.Name, s)
	}
	return s.Peers[i]
}

// oneWay is how long it takes to reach another node.
const oneWay = 5 * time.Millisecond

// The figures of a farm at work are those of what was done.
func TestStats(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		for _, a := range l.nodes {
			for _, b := range l.nodes {
				l.net.Delay(a.ip, b.ip, oneWay)
			}
		}
		const writes = 20
		before := leader.Stats()
		for i := range writes {
			others[0].must("set k%d v", i)
		}
		time.Sleep(time.Second) // until everybody has applied it, and has said so
		s, f := leader.Stats(), others[0].Stats()
		if s.RaftRole != admin.RaftLeader || f.RaftRole != admin.RaftFollower || s.Term == 0 ||
			s.Term != f.Term ||
			s.Leader != leader.ID() || f.Leader != leader.ID() || s.Vote != admin.Voter || !f.Ready ||
			f.Role != "ordinary" {
			l.t.Errorf("%+v\n%+v", s, f)
		}
		if n := s.Commit.Count - before.Commit.Count; n < writes || f.Commit.Count != 0 {
			l.t.Errorf("%d entries were committed by the leader, and %d by a follower", n, f.Commit.Count)
		}
		if n := s.Store.Count - before.Store.Count; n < writes || s.Apply.Count-before.Apply.Count < writes {
			l.t.Errorf("the leader wrote %d times to its log", n)
		}
		done := f.Proposals.Done
		if done.Count != writes || done.Mean() < 4*oneWay || done.Most > time.Second ||
			done.Mean() > done.Most ||
			done.Quantile(0.5) < 4*oneWay || s.Commit.Total-before.Commit.Total < writes*2*oneWay ||
			f.Proposals.Failed != 0 || f.Proposals.Waiting != (admin.Queue{}) ||
			s.Leading.Waiting != (admin.Queue{}) {
			l.t.Errorf("of the proposals it says %+v, at the leader wait %+v", f.Proposals, s.Leading)
		}
		if s.Log.Last == 0 || s.Log.Applied != s.Log.Last || s.Log.Committed != s.Log.Last ||
			s.Log.Lag != (admin.Lag{}) {
			l.t.Errorf("the log is %+v", s.Log)
		}
		for _, o := range others {
			p := peerOf(l.t, s, o)
			if !p.Follows || !p.LagKnown || p.Lag != (admin.Lag{}) || s.At.Sub(p.Heard) > time.Second ||
				p.Status != admin.Alive {
				l.t.Errorf("of %s the leader says %+v", o.conf.Name, p)
			}
		}
		p := peerOf(l.t, f, leader)
		if p.Follows || !p.Link.Connected || p.Link.Since.IsZero() || p.Link.Heard.Before(p.Link.Since) ||
			p.Link.Failure != "" {
			l.t.Errorf("of the leader a follower says %+v", p)
		}
	})
}

// While the leader is cut off, what waits is seen to wait, on whom it waits for, and why.
func TestStatsOfACutOffNode(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		others[0].must("set a 1")
		far := others[0]
		l.cut(far)
		var wg sync.WaitGroup
		cmd := "set lonely " + strings.Repeat("x", 1000)
		ctx, cancel := context.WithCancel(l.t.Context())
		wg.Go(func() {
			_, _, err := far.Handle("kv").Propose(ctx, []byte(cmd))
			if !errors.Is(err, context.Canceled) {
				l.t.Errorf("cut off, and the proposal ends with %v", err)
			}
		})
		for i := range 10 {
			leader.must("set b%d %s", i, strings.Repeat("y", 100<<10))
		}
		time.Sleep(20 * time.Second)
		s := far.Stats()
		if want := (admin.Queue{Count: 1, Bytes: int64(len(cmd))}); s.Proposals.Waiting != want ||
			s.Proposals.Done.Count != 1 {
			l.t.Errorf("what waits is %+v, not %+v", s.Proposals, want)
		}
		if p := peerOf(l.t, s, leader); p.Link.Connected || p.Status == admin.Alive ||
			(p.Link.Failure == "") != p.Link.Since.IsZero() {
			// it may have had no reason to dial since the connection was dropped: then there is nothing to tell
			l.t.Errorf("of the leader that it does not reach it says %+v", p)
		}
		seen := peerOf(l.t, leader.Stats(), far)
		if seen.Lag.Entries < 10 || seen.Lag.Bytes < 900<<10 || time.Since(seen.Heard) < 10*time.Second ||
			seen.Status == admin.Alive {
			l.t.Errorf("of the one that is cut off the leader says %+v", seen)
		}
		cancel()
		wg.Wait()
		if s := far.Stats(); s.Proposals.Failed != 1 || s.Proposals.Waiting != (admin.Queue{}) {
			l.t.Errorf("once it was given up: %+v", s.Proposals)
		}
	})
}

// While a farm is asked for more than its disks do, each node says how much of its credit it uses, and the
// leader what it has given, and to how many. When the farm rests nothing is under way, and nobody has a part.
func TestStatsOfCredit(t *testing.T) {
	unformed(t, 3, false, func(l *lab) {
		var slow atomic.Bool
		for i, n := range l.nodes {
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.hooks.wrapStore = func(s raftlog.Store) raftlog.Store { return &slowLog{s, &slow} }
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		slow.Store(true)
		const writers, size = 40, 50 << 10
		ctx, cancel := context.WithCancel(l.t.Context())
		var wg sync.WaitGroup
		for range writers {
			for _, n := range others {
				wg.Go(func() {
					for ctx.Err() == nil {
						n.Handle("kv").Propose(ctx, []byte("noop "+strings.Repeat("x", size)))
						sleep.For(ctx, time.Second)
					}
				})
			}
		}
		time.Sleep(10 * time.Second)
		i := &leader.instance().leading.now().sequencer.intake
		i.mu.Lock()
		all := i.amountLocked()
		i.mu.Unlock()
		share := queueOfLoad(load{all.commands / len(others), all.bytes / len(others)})
		share.Bytes -= share.Bytes / 100 // of the mean size of what comes, which changes a little
		for _, n := range others {       // now and then a batch was just answered, and its place is not taken yet
			l.until(time.Second, "a follower uses all of its credit", func() bool {
				return n.Stats().Proposals.Credit.Used.Bytes >= share.Bytes-2*size
			})
		}
		// Both want all, so that an equal share is what each has, and more while the other one was answered.
		said := ""
		agree := func() bool {
			lead, used := leader.Stats().Leading, int64(0)
			ok := lead.Origins == int64(len(others)) && lead.Credit.Bytes >= share.Bytes &&
				lead.Credit.Count >= share.Count && lead.Waiting.Count > 0 &&
				lead.Waiting.Bytes >= lead.Waiting.Count*size
			said = fmt.Sprintf("the leader says %+v", lead)
			for _, n := range others {
				c := n.Stats().Proposals.Credit
				used += c.Used.Count
				said += fmt.Sprintf("; a follower %+v", c)
				ok = ok && c.Leader == leader.ID() && !c.Plain && c.Given.Count == share.Count &&
					c.Given.Bytes >= share.Bytes && c.Given.Bytes <= 2*share.Bytes &&
					c.Used.Bytes >= share.Bytes/2 && c.Used.Bytes <= c.Given.Bytes+2*size
			}
			d := used - lead.Waiting.Count // what is just on the line counts here or there
			return ok && d >= -4 && d <= 4
		}
		for end := time.Now().Add(time.Second); !agree(); sleep.For(ctx, time.Millisecond) {
			if time.Now().After(end) {
				l.t.Fatalf("%s; want an equal credit of %+v, and that they agree", said, share)
			}
		}
		if c := leader.Stats().Proposals.Credit; c.Used != (admin.Queue{}) {
			l.t.Errorf("the leader, which proposes nothing, says %+v", c)
		}
		slow.Store(false)
		cancel()
		wg.Wait()
		time.Sleep(time.Minute)
		if c := others[0].Stats().Proposals.Credit; c.Used != (admin.Queue{}) {
			l.t.Errorf("at rest %+v is under way", c)
		}
		if s := leader.Stats().Leading; s.Waiting != (admin.Queue{}) || s.Origins != 0 {
			l.t.Errorf("at rest the leader says %+v", s)
		}
		if s := others[0].Stats().Leading; s != (admin.Leading{}) {
			l.t.Errorf("one that does not lead says %+v", s)
		}
	})
}

// slowLog takes 500 ms for an append while slow is set.
type slowLog struct {
	raftlog.Store
	slow *atomic.Bool
}

func (s *slowLog) StoreLogs(logs []*raft.Log) error {
	if s.slow.Load() {
		time.Sleep(500 * time.Millisecond)
	}
	return s.Store.StoreLogs(logs)
}

// Snapshots and new Raft instances are seen, with why; and a node that is closed still says how things were.
func TestStatsOfSnapshotsAndRestarts(t *testing.T) {
	unformed(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.conf.Tuning.SnapshotBytes = 1 << 10
		n.start()
		l.ready(n)
		for i := range 10 {
			n.must("set k%d %s", i, strings.Repeat("v", 1000))
		}
		time.Sleep(5 * time.Second)
		s := n.Stats().Snapshot
		if s.Taken == 0 || s.Failed != 0 || s.Last.IsZero() || s.Bytes < 1000 || s.Failure != "" {
			l.t.Errorf("of its snapshots it says %+v", s)
		}
		before := n.Stats()
		n.resets.restart(n.instance().server, errors.New("a reason"))
		time.Sleep(5 * time.Second)
		n.must("set after 1")
		now := n.Stats()
		if now.Restarted != 1 || len(now.Restarts) != 1 || now.Restarts[0].Reason != "a reason" ||
			!now.Restarts[0].KeptLog ||
			!now.Restarts[0].Finished || now.Proposals.Done.Count != before.Proposals.Done.Count+1 ||
			now.Snapshot.Restored == 0 {
			l.t.Errorf("after a restart it says %+v", now)
		}
		n.stop()
		synctest.Wait()
		if s := n.Node.Stats(); s.RaftRole != admin.RaftStopped ||
			s.Proposals.Done.Count != now.Proposals.Done.Count {
			l.t.Errorf("once it is closed it says %+v", s)
		}
		n.start()
		l.ready(n)
	})
}

// slowApply is a machine that takes its time for each command.
type slowApply struct {
	StateMachine
	takes time.Duration
}

func (s slowApply) Apply(index uint64, at time.Time, cmd []byte) []byte {
	time.Sleep(s.takes)
	return s.StateMachine.Apply(index, at, cmd)
}

func (s slowApply) State() []byte { return s.StateMachine.(stated).State() }

// What it takes to apply a write is a part of what it takes to commit and answer it, and of no other write.
func TestStatsOfApply(t *testing.T) {
	const takes, writes = 30 * time.Millisecond, 10
	unformed(t, 1, false, func(l *lab) {
		n := l.nodes[0]
		n.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
			return slowApply{newKV(), takes}
		}}
		n.start()
		l.ready(n)
		before := n.Stats()
		for i := range writes {
			n.must("set k%d v", i)
		}
		now := n.Stats()
		for what, d := range map[string]time.Duration{
			"apply":  now.Apply.Total - before.Apply.Total,
			"commit": now.Commit.Total - before.Commit.Total,
			"answer": now.Proposals.Done.Total - before.Proposals.Done.Total,
		} {
			if d < writes*takes || d > writes*takes+takes {
				l.t.Errorf("to %s %d writes took %v, want %v", what, writes, d, writes*takes)
			}
		}
		if a := now.Apply; a.Count-before.Apply.Count != writes || a.Most != takes || a.Quantile(0.9) < takes {
			l.t.Errorf("of applying it says %+v", a)
		}
	})
}
