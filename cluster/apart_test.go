package cluster

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// TestReplicasStayEqual changes the leader under writes, over links whose delays change all the time, and
// compares what all replicas have applied. With heartbeats beside raft's main goroutine it finds raft issue
// 695, in one of the first few seeds where that was tried; which goroutine runs first is chance, so it may
// take more. The farm works at protocol level 2: at a higher one the leader finds a copy that differs and has
// it begin anew, before this test has looked. The fault needs two leaders at one moment, so most changes must
// have them.
// Slow: farms are simulated for four seeds, and for up to twenty more.
func TestReplicasStayEqual(t *testing.T) {
	first := cmp.Or(envNumber(t, "WEBFARM_SEED"), 1)
	for seed := first; seed < first+4; seed++ {
		apart, lags, both := runApart(t, seed, false)
		if apart+lags != "" {
			t.Errorf("seed %d: %s", seed, apart+lags)
		}
		if both < leaderChanges/2 {
			t.Errorf("seed %d: two led at one moment in %d of %d changes only: the followers give up a leader "+
				"at other times than changeLeaderSlowly is made for", seed, both, leaderChanges)
		}
	}
	for seed := first; seed < first+20; seed++ {
		if apart, _, _ := runApart(t, seed, true); apart != "" {
			t.Logf("with heartbeats beside the main goroutine, seed %d: %s", seed, apart)
			return
		}
	}
	t.Error("raft issue 695 was not found in 20 seeds")
}

// leaderChanges is how often the leader changes in one seed.
const leaderChanges = 8

// runApart runs one seed and says how the replicas differ, and which of them lacks something in the end; ""
// if none does. both is in how many changes of the leader two led at one moment.
func runApart(t *testing.T, seed uint64, beside bool) (apart, lags string, both int) {
	unformed(t, 3, false, func(l *lab) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		for i, n := range l.nodes {
			n.hooks.heartbeatsBeside, n.hooks.maxLevel = beside, wire.LevelLevels
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		w := &rawWriter{by: l.nodes[0]}
		w.by.must("set begun yes")  // so that all know the origin of the writes
		for _, n := range l.nodes { // so that everybody has connections to everybody
			id := n.instance().server
			if old, _ := l.leader(); old != n {
				old.instance().raft.LeadershipTransferToServer(raft.ServerID(id),
					raft.ServerAddress(id)).Error()
			}
			time.Sleep(2 * time.Second)
		}
		for range leaderChanges {
			leader, others := l.leader()
			if l.changeLeaderSlowly(rnd, leader, others, w.write) {
				both++
			}
			time.Sleep(2*time.Second + time.Duration(rnd.Int64N(int64(time.Second))))
			leader, _ = l.leader()
			w.write(leader)
		}
		time.Sleep(5 * time.Second)
		if apart = l.apart(); !beside {
			lags = w.lags(l.nodes)
			return
		}
		for _, n := range l.nodes { // a farm that has diverged agrees on nothing
			n.kill()
		}
	})
	return apart, lags, both
}

// rawWriter hands commands straight to a node's raft, as a leadership does with batches that have come in.
type rawWriter struct {
	by     *labNode // in whose name
	writes []rawWrite
}

type rawWrite struct {
	key    string
	future raft.ApplyFuture
}

func (w *rawWriter) write(to *labNode) {
	n := len(w.writes)
	key := fmt.Sprint("w", n)
	b := wire.Batch{Origin: w.by.instance().origin.id, Seq: uint64(1000 + n), Count: 1,
		Body: wire.AppendCommand(nil, "kv", []byte("set "+key+" yes"))}
	entry := wire.AppendBatch(wire.EntryHeader(wire.EntryCommands, uint64(time.Now().UnixMilli())), &b)
	w.writes = append(w.writes, rawWrite{key, to.instance().raft.Apply(entry, 0)})
}

// lags says which node has not come as far as the others, or lacks a write that was acknowledged, and whether
// none was.
func (w *rawWriter) lags(nodes []*labNode) string {
	for _, n := range nodes[1:] {
		if a, b := nodes[0].instance().raft.AppliedIndex(), n.instance().raft.AppliedIndex(); a != b {
			return fmt.Sprintf("%s has applied %d entries, %s %d", nodes[0].conf.Name, a, n.conf.Name, b)
		}
	}
	acknowledged := 0
	for _, write := range w.writes {
		if write.future.Error() != nil {
			continue
		}
		acknowledged++
		for _, n := range nodes {
			if n.get(write.key) != "yes" {
				return fmt.Sprintf("%s lacks %s, which was acknowledged", n.conf.Name, write.key)
			}
		}
	}
	if acknowledged == 0 {
		return fmt.Sprintf("none of %d writes was acknowledged", len(w.writes))
	}
	return ""
}

func (l *lab) calm() {
	for _, a := range l.nodes {
		for _, b := range l.nodes {
			l.net.Delay(a.ip, b.ip, 0)
		}
	}
}

// changeLeaderSlowly has the others lose sight of the leader while what they answered last is still on its
// way to it, so that it goes on to believe and to take writes, and lets some of what the new leader sends
// overtake the rest. It reports whether both led at one moment. The others give a leader up half a heartbeat
// timeout after the failure hint, unless they have heard it since (DESIGN.md, Failure hint). So the hint
// comes when they hear it for the last time.
func (l *lab) changeLeaderSlowly(rnd *rand.Rand, leader *labNode, others []*labNode,
	write func(to *labNode)) (both bool) {
	ms := func(low, high int) time.Duration { return time.Duration(low+rnd.IntN(high-low)) * time.Millisecond }
	delay := func(from, to []*labNode, d func() time.Duration) {
		for _, f := range from {
			for _, t := range to {
				l.net.Delay(f.ip, t.ip, d())
			}
		}
	}
	old := []*labNode{leader}
	delay(others, old, func() time.Duration { return ms(120, 200) })
	time.Sleep(ms(50, 120)) // most answer a heartbeat: these answers arrive when they hear the leader no more
	delay(old, others, func() time.Duration { return ms(800, 1500) })
	for _, o := range others {
		o.instance().suspecting.suspectLeader(leader.id) // a false hint: they wait half as long
	}
	term, next := leader.instance().raft.CurrentTerm(), 0 // turns since there is another leader
	slow, late := ms(3, 10), ms(100, 400)
	for turn := range 900 {
		if turn == 240 {
			delay(others, old, func() time.Duration { return late })
		}
		if next > 0 || slices.ContainsFunc(others,
			func(o *labNode) bool { return o.instance().raft.State() == raft.Leader }) {
			next++
		}
		if next == 1 {
			both = leader.instance().raft.State() == raft.Leader
		}
		if next == int(slow.Milliseconds()) { // what it has sent is on its way; connections can be opened again
			delay(others, old, func() time.Duration { return 0 })
			delay(old, others, func() time.Duration { return 0 })
		}
		// a write before that would be in the old term
		if in := leader.instance(); in.raft.CurrentTerm() > term {
			write(leader)
		}
		time.Sleep(time.Millisecond)
	}
	l.calm()
	return both
}

// apart says how the logs and states of the nodes differ. States are compared only of nodes that have applied
// the same entries.
func (l *lab) apart() string {
	first := l.nodes[0]
	for _, n := range l.nodes[1:] {
		if apart := logsApart(first, n, math.MaxUint64); apart != "" {
			return apart
		}
		a, b := first.instance(), n.instance()
		ax, bx := first.Handle("kv").Local().(*kv), n.Handle("kv").Local().(*kv)
		if a.raft.AppliedIndex() == b.raft.AppliedIndex() && string(ax.State()) != string(bx.State()) {
			return fmt.Sprintf("states differ at %d: %s, %s", a.raft.AppliedIndex(), ax.State(), bx.State())
		}
	}
	return ""
}

// logsApart says how the logs of two nodes differ in the last entries that both have committed, as far as
// both still have them.
func logsApart(first, second *labNode, last uint64) string {
	a, b := first.instance(), second.instance()
	end := min(a.raft.CommitIndex(), b.raft.CommitIndex())
	for i := end - min(end, last) + 1; i <= end; i++ {
		var x, y raft.Log
		if a.storage.store.GetLog(i, &x) == nil && b.storage.store.GetLog(i, &y) == nil &&
			(x.Term != y.Term || string(x.Data) != string(y.Data)) {
			return fmt.Sprintf("replicas differ at entry %d: term %d %q, term %d %q", i, x.Term, x.Data,
				y.Term, y.Data)
		}
	}
	return ""
}
