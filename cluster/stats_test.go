package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
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
			s.Leading != (admin.Queue{}) {
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
		if p := peerOf(l.t, s, leader); p.Link.Connected || p.Status == admin.Alive || (p.Link.Failure == "") != p.Link.Since.IsZero() {
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

// Snapshots and new Raft instances are seen, with why; and a node that is closed still says how things were.
func TestStatsOfSnapshotsAndRestarts(t *testing.T) {
	unformed(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		n.conf.SnapshotBytes = 1 << 10
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
		n.restart(n.instance().server, errors.New("a reason"))
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
