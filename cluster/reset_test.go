package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// waitFor waits, within fake time, until ok.
func (l *lab) waitFor(what string, ok func() bool) {
	l.t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.t.Fatalf("it never came to this: %s", what)
}

// A node that forgets its log in the midst of its work keeps its connections to the others, which know it by
// its former incarnation. It must come back all the same.
func TestResetOfAConnectedNode(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			inLab(t, 3, durable, func(l *lab) {
				leader, others := l.leader()
				n := others[0]
				n.must("append x 1")
				was := n.instance().server
				n.resets.reset(was, wire.ErrSetBack)
				l.waitFor("a new incarnation votes", func() bool {
					in := n.instance()
					return in.server != was && leader.State().Leader != "" &&
						voteAt(leader, in.server) == raft.Voter
				})
				n.must("append x 2")
				l.agree()
				if got := n.get("x"); got != "1,2," {
					l.t.Errorf("x = %q", got)
				}
			})
		})
	}
}

func voteAt(n *labNode, server string) raft.ServerSuffrage {
	for _, srv := range n.instance().configuration().Servers {
		if string(srv.ID) == server {
			return srv.Suffrage
		}
	}
	return -1
}

// The leader may be the one that must forget.
func TestResetOfTheLeader(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		n, others := l.leader()
		n.must("append x 1")
		was := n.instance().server
		n.resets.reset(was, wire.ErrSetBack)
		others[0].must("append x 2")
		l.waitFor("a new incarnation votes", func() bool {
			in := n.instance()
			return in.server != was && voteAt(others[0], in.server) == raft.Voter
		})
		n.must("append x 3")
		l.agree()
	})
}

// Proposals that wait when the node forgets its log are acknowledged or not, but none is in the log twice.
func TestResetUnderLoad(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		_, others := l.leader()
		n := others[0]
		done := make(chan int)
		for w := range 8 {
			go func() {
				acked := 0
				for i := range 200 {
					if n.propose(20*time.Second, "append w%d %d", w, i) != nil {
						break
					}
					acked++
					time.Sleep(time.Millisecond)
				}
				done <- acked
			}()
		}
		time.Sleep(50 * time.Millisecond)
		n.resets.reset(n.instance().server, wire.ErrSetBack)
		acked := 0
		for range 8 {
			acked += <-done
		}
		l.agree()
		for w := range 8 {
			seen := map[string]int{}
			for v := range strings.SplitSeq(n.get(fmt.Sprintf("w%d", w)), ",") {
				if seen[v]++; v != "" && seen[v] > 1 {
					l.t.Errorf("w%d has %s twice", w, v)
				}
			}
		}
		l.t.Logf("%d writes acknowledged", acked)
	})
}
