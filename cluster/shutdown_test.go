package cluster

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Close may come while the node is replacing its Raft instance. Whatever is there at the end must be stopped.
func TestCloseWhileResetting(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		inLab(t, 1, i%2 == 0, func(l *lab) {
			n := l.nodes[0]
			n.resets.reset(n.instance().server, wire.ErrSetBack)
			for range i {
				time.Sleep(0)
			}
			n.stop()
			if s := n.instance().raft.State(); s != raft.Shutdown {
				l.t.Errorf("after Close there is a Raft instance in state %v", s)
			}
		})
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	inLab(t, 2, false, func(l *lab) {
		n := l.nodes[1]
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { n.Close() })
		}
		wg.Wait()
		n.stop()
		if err := n.Leave(l.ctx(time.Second)); !errors.Is(err, ErrClosed) {
			l.t.Errorf("Leave of a closed node: %v, want ErrClosed", err)
		}
	})
}

// Close ends a node at whatever moment of its start it is called.
// Slow: sixty nodes are opened, and closed at as many moments.
func TestCloseDuringTheBeginning(t *testing.T) {
	t.Parallel()
	inLab(t, 1, false, func(l *lab) {
		for i := range 60 {
			n := &labNode{lab: l, ip: "10.0.0.9", conf: Config{Name: "late", Listen: "10.0.0.9:7946",
				Join: []string{l.nodes[0].Addr()}, Secrets: l.nodes[0].conf.Secrets}}
			n.start()
			time.Sleep(time.Duration(i) * 30 * time.Millisecond)
			n.stop()
			if err := n.Handle("kv").Barrier(l.t.Context()); !errors.Is(err, ErrClosed) {
				l.t.Fatalf("Barrier of a closed node: %v", err)
			}
			if err := n.propose(time.Second, "append x 1"); !errors.Is(err, ErrClosed) {
				l.t.Fatalf("Propose of a closed node: %v", err)
			}
			l.nodes[0].must("append y 1")
		}
	})
}

// A node is taken out while others ask their leader, over slow lines, for what is newest. (In a bubble no
// fake time passes while somebody waits for a mutex. So whoever sleeps while it holds one never wakes up.)
func TestCloseAmongBarriers(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		for _, o := range others {
			l.net.Delay(o.ip, leader.ip, 30*time.Millisecond)
			l.net.Delay(leader.ip, o.ip, 30*time.Millisecond)
		}
		var wg sync.WaitGroup
		for _, n := range []*labNode{leader, others[0]} {
			for range 4 {
				wg.Go(func() {
					for i := range 30 {
						n.must("append x %d", i)
						if err := n.Handle("kv").Barrier(l.ctx(20 * time.Second)); err != nil {
							l.t.Error(err)
						}
					}
				})
			}
		}
		time.Sleep(100 * time.Millisecond)
		others[1].stop()
		wg.Wait()
	})
}

// A node that stops is seen as stopped, one that leaves as left, and one that is killed as dead.
func TestLeftIsNotDead(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		inLab(t, 3, durable, func(l *lab) {
			status := func(of *labNode) func() bool {
				return func() bool { return l.nodes[0].directory.Get(of.id).Status != roster.Alive }
			}
			l.nodes[1].stop()
			l.until(time.Minute, "the stop is known", status(l.nodes[1]))
			if s := l.nodes[0].directory.Get(l.nodes[1].id).Status; s != roster.Stopped {
				t.Errorf("durable %v: who stopped is %s", durable, s)
			}
			l.nodes[1].start()
			l.ready(l.nodes[1])
			l.nodes[2].kill()
			l.until(time.Minute, "the death is known", status(l.nodes[2]))
			if s := l.nodes[0].directory.Get(l.nodes[2].id).Status; s != roster.Dead {
				t.Errorf("durable %v: who was killed is %s", durable, s)
			}
			l.nodes[2].start()
			l.ready(l.nodes...)
			l.nodes[2].up = false
			l.nodes[2].live.Store(nil)
			if err := l.nodes[2].Leave(l.ctx(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			l.until(time.Minute, "the leave is known", status(l.nodes[2]))
			if s := l.nodes[0].directory.Get(l.nodes[2].id).Status; s != roster.Left {
				t.Errorf("durable %v: who left is %s", durable, s)
			}
		})
	}
}
