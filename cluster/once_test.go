package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A node may be taken out of the configuration and come in again while it runs; its registration goes with
// it, and the answers of its batches. A batch on its way at that time may have been applied: it must not be
// applied again under the new registration.
func TestBatchOfAFormerRegistration(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		n := others[0]
		n.must("append y 0")
		o := n.instance().origin
		p := &proposal{machine: "kv", cmd: []byte("append x 1"), done: make(chan outcome, 1)}
		o.mu.Lock()
		o.seq++
		o.flying[o.seq] = true
		out := newOutgoing()
		out.seq, out.ps = o.seq, []*proposal{p}
		o.mu.Unlock()
		if _, _, err := o.attempt(out); err != nil { // and the answer is lost
			l.t.Fatal(err)
		}
		if err := leader.instance().raft.RemoveServer(raft.ServerID(n.instance().server), 0,
			time.Second).Error(); err != nil {
			l.t.Fatal(err)
		}
		for n.propose(time.Second, "append y 1") != nil { // finds out that the registration is gone
		}
		o.carry(out)
		if got := <-p.done; !errors.Is(got.err, ErrUncertain) {
			l.t.Errorf("the batch of before was answered %+v, want ErrUncertain", got)
		}
		l.agree()
		if got := n.get("x"); got != "1," {
			l.t.Errorf("x = %q: one Propose, applied %d times", got, len(got)/2)
		}
	})
}

// What a proposal is told must fit what the log says, whatever happens to leaders and lines meanwhile.
// Slow: four farms of five nodes, each with six hundred writes through leaders that change.
func TestNothingTwiceInTurmoil(t *testing.T) {
	t.Parallel()
	for seed := range 4 {
		inLab(t, 5, seed == 3, func(l *lab) {
			const writers, each = 10, 60
			type told struct{ acked, nothing map[string]bool }
			results := make(chan told, writers)
			for w := range writers {
				n := l.nodes[w%5]
				go func() {
					r := told{map[string]bool{}, map[string]bool{}}
					for i := range each {
						v := fmt.Sprintf("%d.%d", w, i)
						switch err := n.propose(400*time.Millisecond, "append x %s", v); {
						case err == nil:
							r.acked[v] = true
						case errors.Is(err, ErrNoLeader), errors.Is(err, ErrOverloaded):
							r.nothing[v] = true
						case !errors.Is(err, ErrUncertain):
							l.t.Errorf("Propose: %v", err)
						}
						time.Sleep(time.Duration(1+(w*7+i*13+seed*29)%40) * time.Millisecond)
					}
					results <- r
				}()
			}
			for round := range 8 {
				leader, others := l.leader()
				switch (round + seed) % 4 {
				case 0:
					l.cut(leader)
				case 1:
					leader.instance().raft.LeadershipTransfer()
				case 2:
					l.cut(leader, others[round%4])
				case 3:
					l.net.Cut(leader.ip, others[round%4].ip)
				}
				time.Sleep(time.Duration(300+100*seed) * time.Millisecond)
				for _, n := range l.nodes {
					n.peers.Drop(leader.id)
				}
				time.Sleep(700 * time.Millisecond)
				l.net.Heal()
			}
			all := told{map[string]bool{}, map[string]bool{}}
			for range writers {
				r := <-results
				for v := range r.acked {
					all.acked[v] = true
				}
				for v := range r.nothing {
					all.nothing[v] = true
				}
			}
			time.Sleep(10 * time.Second)
			l.agree()
			seen := map[string]int{}
			for v := range strings.SplitSeq(strings.TrimSuffix(l.nodes[0].get("x"), ","), ",") {
				if seen[v]++; seen[v] > 1 {
					l.t.Errorf("%s was applied twice", v)
				}
				if all.nothing[v] {
					l.t.Errorf("%s was applied after ErrNoLeader or ErrOverloaded", v)
				}
			}
			for v := range all.acked {
				if seen[v] == 0 {
					l.t.Errorf("%s was acknowledged and is lost", v)
				}
			}
			l.t.Logf("seed %d: %d acknowledged, %d not tried, %d in the log", seed, len(all.acked),
				len(all.nothing), len(seen))
		})
	}
}
