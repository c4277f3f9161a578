package cluster

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// A large farm with five voters forms within seconds, and costs its leader at rest no more for each follower
// than a small one. It loses ten nodes at once, two of which vote, and then its leader; the places are
// filled, and writes go on. The short form has 30 nodes, which take what the test may take; `make torture`
// has 100. What a node costs is logged.
// Slow: every node talks to every other one.
func TestLargeFarm(t *testing.T) {
	t.Parallel()
	if race.Enabled {
		t.Skip("it takes minutes with the race detector, and a small farm has the same races")
	}
	size := 30
	if ci.Torture() {
		size = 100
	}
	before := usage()
	unformed(t, size, false, func(l *lab) {
		m := &meter{}
		m.attach(l)
		began := time.Now()
		for i, n := range l.nodes {
			n.conf.Tuning.DeadAfter = 10 * time.Second
			if i > 0 {
				n.conf.Join = []string{l.nodes[0].conf.Listen}
			}
			n.start()
		}
		l.ready(l.nodes...)
		t.Logf("%d nodes are a farm after %v", size, time.Since(began))
		leader, others := l.leader()
		l.placedAre(leader, size)
		l.restCosts(m, leader, others, before)
		writes := l.steadily(others[size-11:])
		dead := l.someOf(leader, others[:size-11])
		l.killAtOnce(dead...)
		l.until(time.Minute, "ten dead are out of it", func() bool { return l.placed(leader, size-10) })
		t.Logf("ten nodes have died and been replaced after %v", time.Since(began))
		dead = append(dead, leader)
		l.killAtOnce(leader)
		leader, _ = l.leader(l.alive()...)
		l.until(time.Minute, "the former leader is out of it",
			func() bool { return l.placed(leader, size-11) })
		for _, n := range dead {
			n.conf.Join = []string{leader.conf.Listen}
			n.start()
		}
		l.ready(dead...)
		t.Logf("they are back after %v", time.Since(began))
		l.until(time.Minute, "all have their places again", func() bool { return l.placed(leader, size) })
		longest := writes()
		t.Logf("the longest time without a write was %v, after %v", longest, time.Since(began))
		if longest > 4*defaultHeartbeat {
			t.Errorf("for %v no write was acknowledged", longest)
		}
	})
}

// killAtOnce ends nodes as kill -9 does, all in one moment.
func (l *lab) killAtOnce(nodes ...*labNode) {
	for _, n := range nodes {
		l.net.Down(n.ip)
	}
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(n.stop)
	}
	wg.Wait()
	for _, n := range nodes {
		l.net.Up(n.ip)
	}
}

// placed reports whether so many are configured, and five of them vote.
func (l *lab) placed(leader *labNode, servers int) bool {
	in := leader.instance()
	return len(in.configuration().Servers) == servers && len(in.voters()) == defaultMaxVoters
}

func (l *lab) placedAre(leader *labNode, servers int) {
	l.t.Helper()
	l.until(time.Minute, fmt.Sprintf("%d have their places", servers),
		func() bool { return l.placed(leader, servers) })
}

// alive returns the nodes that are up.
func (l *lab) alive() []*labNode {
	return slices.DeleteFunc(slices.Clone(l.nodes), func(n *labNode) bool { return !n.up })
}

// someOf returns ten of some nodes, two of which vote.
func (l *lab) someOf(leader *labNode, among []*labNode) (out []*labNode) {
	votes := 0
	for _, n := range among {
		if slices.Contains(leader.instance().voters(), n.instance().server) {
			if votes++; votes > 2 {
				continue
			}
		}
		if out = append(out, n); len(out) == 10 {
			return out
		}
	}
	l.t.Fatalf("there are only %d", len(out))
	return nil
}

// steadily has nodes write in turn, ten times a second. writes ends that and returns the longest time without
// a write.
func (l *lab) steadily(nodes []*labNode) (writes func() time.Duration) {
	ended, done := make(chan struct{}), make(chan struct{})
	var last, longest atomic.Int64
	last.Store(time.Now().UnixNano())
	acknowledged := func() {
		now := time.Now().UnixNano()
		longest.Store(max(longest.Load(), now-last.Swap(now)))
	}
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ended:
				return
			}
			n := nodes[i%len(nodes)]
			go func() {
				if n.propose(time.Minute, "set k%d %d", i%50, i) == nil {
					acknowledged()
				}
			}()
		}
	}()
	return func() time.Duration {
		close(ended)
		<-done
		time.Sleep(5 * time.Second)
		return time.Duration(longest.Load())
	}
}

// used is what a process has of memory and goroutines.
type used struct {
	bytes      uint64
	goroutines int
}

func usage() used {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return used{m.HeapInuse + m.StackInuse, runtime.NumGoroutine()}
}

// restCosts logs what a node at rest costs, and holds the leader to mostIdleWrites.
func (l *lab) restCosts(m *meter, leader *labNode, others []*labNode, before used) {
	time.Sleep(10 * time.Second)
	m.reset()
	const secs = 10
	time.Sleep(secs * time.Second)
	most := 0
	for _, n := range others {
		writes, _ := m.of(leader, n)
		most = max(most, writes)
	}
	writes, bytes, packets := m.total()
	now, size := usage(), len(l.nodes)
	l.t.Logf("each of %d nodes at rest: %d goroutines, %d KB, %.1f writes and %.1f packets a second, %d "+
		"bytes a second by TCP; "+
		"the leader writes %.1f times a second to a follower at most", size,
		(now.goroutines-before.goroutines)/size,
		(now.bytes-before.bytes)/uint64(size)>>10, float64(writes)/secs/float64(size),
		float64(packets)/secs/float64(size),
		bytes/secs/size, float64(most)/secs)
	if most > mostIdleWrites*secs*11/10 { // of few seconds
		l.t.Errorf("%d writes in %d s", most, secs)
	}
}
