package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// votes returns the names of the nodes that vote.
func (l *lab) votes(seen *labNode) (out []string) {
	for _, m := range seen.State().Members {
		if m.Vote == Voter {
			out = append(out, m.Name)
		}
	}
	return out
}

// until waits for a condition, in fake time.
func (l *lab) until(d time.Duration, what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("after %v it is not yet so that %s", d, what)
		}
	}
}

func TestVotersOfManyNodes(t *testing.T) {
	for n, want := range map[int]int{2: 2, 3: 3, 4: 3, 5: 5, 6: 5, 7: 5} {
		t.Run(fmt.Sprintf("nodes=%d", n), func(t *testing.T) {
			inLab(t, n, false, func(l *lab) {
				leader, _ := l.leader()
				l.until(time.Minute, fmt.Sprintf("%d vote", want), func() bool { return len(l.votes(leader)) == want })
			})
		})
	}
}

func TestRolesWithoutVote(t *testing.T) {
	unformed(t, 4, false, func(l *lab) {
		l.symmetric()
		for i, n := range l.nodes {
			n.conf.Expect = 2
			n.conf.Role = []Role{Front, Staging, Ordinary, Ordinary}[i]
			n.start()
		}
		l.ready(l.nodes...)
		time.Sleep(10 * time.Second)
		leader, _ := l.leader()
		if got := l.votes(leader); !slices.Equal(got, []string{"n3", "n4"}) {
			l.t.Errorf("%v vote, want the ordinary nodes", got)
		}
		l.nodes[0].must("append x 1") // they write and read all the same
		if err := l.nodes[1].Handle("kv").Barrier(l.ctx(time.Minute)); err != nil {
			l.t.Fatal(err)
		}
		if got := l.nodes[1].get("x"); got != "1," {
			l.t.Errorf("x = %q", got)
		}
	})
}

// While nodes are restarted one after the other, the others always have a majority: writes go on.
func TestRollingRestartKeepsQuorum(t *testing.T) {
	for _, n := range []int{2, 3, 4, 5, 7} {
		for _, durable := range []bool{false, true} {
			t.Run(fmt.Sprintf("nodes=%d/durable=%v", n, durable), func(t *testing.T) {
				inLab(t, n, durable, func(l *lab) {
					wrote := 0
					for i, node := range l.nodes {
						node.stop()
						other := l.nodes[(i+1)%n]
						for range 5 {
							if err := other.propose(5*time.Second, "append x %d", wrote); err != nil {
								l.t.Fatalf("with %s stopped: %v; %+v", node.conf.Name, err, other.State())
							}
							wrote++
							time.Sleep(300 * time.Millisecond)
						}
						node.conf.Join = []string{other.Addr()}
						node.start()
						l.ready(node)
					}
					l.check(l.nodes[0], "x", wrote, true)
				})
			})
		}
	}
}

// A farm of one restarts and has what it had, if it is durable.
func TestRestartAlone(t *testing.T) {
	inLab(t, 1, true, func(l *lab) {
		l.nodes[0].must("append x 1")
		l.nodes[0].stop()
		l.nodes[0].start()
		l.ready(l.nodes[0])
		l.nodes[0].must("append x 2")
		if got := l.nodes[0].get("x"); got != "1,2," {
			l.t.Errorf("x = %q", got)
		}
	})
}

func TestDeadVoterIsReplaced(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 4, durable, func(l *lab) {
				leader, others := l.leader()
				l.until(time.Minute, "three vote", func() bool { return len(l.votes(leader)) == 3 })
				var victim *labNode
				for _, n := range others {
					if m, _ := leader.State().Member(n.ID()); m.Vote == Voter {
						victim = n
					}
				}
				victim.kill()
				after := defaultDeadAfterMemory
				if durable {
					after = defaultDeadAfter
				}
				time.Sleep(after - 5*time.Second)
				if !slices.Contains(l.votes(leader), victim.conf.Name) {
					l.t.Errorf("%s lost its vote before its time", victim.conf.Name)
				}
				l.until(20*time.Second, "the stand-by votes instead", func() bool {
					v := l.votes(leader)
					return len(v) == 3 && !slices.Contains(v, victim.conf.Name)
				})
				victim.conf.Join = []string{leader.Addr()}
				victim.start()
				l.ready(victim)
				leader.must("append x 1")
			})
		})
	}
}

// With the leader's process gone, its followers elect sooner than its heartbeats alone would let them.
func TestFailureHint(t *testing.T) {
	var took []time.Duration
	for range 9 {
		inLab(t, 3, false, func(l *lab) {
			leader, others := l.leader()
			others[0].must("append x 1")
			time.Sleep(time.Second)
			l.net.Down(leader.ip)
			began := time.Now()
			others[0].must("append x 2")
			took = append(took, time.Since(began))
			leader.stop()
			l.net.Up(leader.ip)
		})
	}
	slices.Sort(took)
	t.Logf("writes accepted again after %v", took)
	if median := took[len(took)/2]; median > time.Second {
		t.Errorf("the median is %v, want at most 1 s", median)
	}
}
