package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// heardAfter waits until a leader has had an answer from a node after some moment.
func (l *lab) heardAfter(leader, n *labNode, since time.Time) {
	server := n.instance().server
	for {
		f := leader.instance().layer.followers.known(server)
		if f != nil && f.line.LastHeard().After(since) {
			return
		}
		if time.Since(since) > 20*time.Second {
			l.fatalf("%s was not heard again", n.conf.Name)
		}
		time.Sleep(time.Millisecond)
	}
}

// A node that was away for a minute gets the log as soon as it answers heartbeats: the farm of three that
// loses another node in that moment takes writes.
func TestComesBackWithTheFirstHeartbeat(t *testing.T) {
	for _, away := range []string{"killed", "cut off"} {
		t.Run(away, func(t *testing.T) {
			inLab(t, 3, true, func(l *lab) {
				leader, others := l.leader()
				back, lost := others[0], others[1]
				if away == "killed" {
					back.kill()
				} else {
					l.cut(back)
				}
				for i := range 60 {
					leader.must("set x %d", i)
					time.Sleep(time.Second)
				}
				began := time.Now()
				if away == "killed" {
					back.start()
				} else {
					l.net.Heal()
				}
				l.heardAfter(leader, back, began)
				l.cut(lost)
				began = time.Now()
				leader.must("set x at last")
				took := time.Since(began)
				l.t.Logf("the write took %v", took)
				if took > time.Second {
					l.t.Errorf("a write took %v", took)
				}
			})
		})
	}
}

// Raft's sender to a node that is away ends when that node leaves the configuration, when the leader's term
// ends, and when leadership is to be handed over.
func TestSenderToTheLostEnds(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		lost, heir := others[0], others[1]
		in, id := leader.instance(), lost.instance().server
		lost.kill()
		leader.must("set x 1")
		time.Sleep(30 * time.Second)
		held := func() bool { return in.transport.held.Load() > 0 }
		if !held() {
			l.t.Error("no append is held back")
		}
		for range 3 { // the heir is away: it does not come to that, and raft must not hang on it (issue 696)
			if err := in.handing.transfer(id).Error(); err == nil {
				l.t.Error("a node that is away leads")
			}
		}
		leader.must("set x 2")
		if err := in.guard(in.raft.RemoveServer(raft.ServerID(id), 0, 0)); err != nil {
			l.t.Fatal(err)
		}
		l.until(3*time.Second, "an append to a node that was removed is held back", func() bool { return !held() })
		lost.start()
		l.ready(lost)
		lost.kill()
		leader.must("set x 3")
		time.Sleep(30 * time.Second)
		if !held() {
			l.t.Error("no append is held back")
		}
		if err := in.handing.transfer(heir.instance().server).Error(); err != nil {
			l.t.Error(err)
		}
		l.until(time.Second, "an append of an earlier term is held back", func() bool { return !held() })
		lost.start()
		l.ready(lost)
	})
}

// Leadership is not handed to a node that is not heard: raft's sender may be in a call to it that fails only
// after seconds, and no write would be taken until then.
func TestTransferToTheUnheard(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		heir := others[0]
		l.net.Cut(leader.ip, heir.ip)
		leader.must("set x 1")
		time.Sleep(2 * time.Second)
		began := time.Now()
		err := leader.instance().handing.transfer(heir.instance().server).Error()
		if err == nil || !strings.Contains(err.Error(), "was not heard for") {
			l.t.Errorf("a node that is not heard was to lead: %v", err)
		}
		leader.must("set x 2")
		if took := time.Since(began); took > 100*time.Millisecond {
			l.t.Errorf("refusal and write took %v", took)
		}
	})
}

// A leader that hands over sends its heir what it lacks, and nothing more: an append that says nothing new is
// held back for 250 ms, and no write is taken meanwhile.
func TestHandOverIsNotHeldBack(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		for i := range 10 {
			leader, others := l.leader()
			heir, other := others[0], others[1]
			l.net.Delay(leader.ip, heir.ip, 3*time.Millisecond) // so it answers after the other one
			l.net.Delay(leader.ip, other.ip, time.Millisecond)
			time.Sleep(time.Duration(1000+17*i) * time.Millisecond)
			leader.must("set x %d", i)
			began := time.Now()
			if err := leader.instance().handing.transfer(heir.instance().server).Error(); err != nil {
				l.t.Error(err)
			}
			if took := time.Since(began); took > 150*time.Millisecond {
				l.t.Errorf("%d: a transfer took %v", i, took)
			}
			l.net.Heal()
		}
	})
}

// Leadership is handed to a node that has vanished a moment ago. Writes wait until that is noticed, and no
// longer. That is so whether the heir had all of the log or not, and also if another transfer is asked for
// meanwhile, which is refused.
//
// Slow: forty times, at another moment each time.
func TestTransferToOneThatHasVanished(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		for i := range 40 {
			leader, others := l.leader()
			heir, in := others[i%2], leader.instance()
			l.until(20*time.Second, "all vote", func() bool { return len(in.voters()) == len(l.nodes) })
			to := heir.instance().server
			l.cut(heir)
			time.Sleep(time.Duration(i*11) * time.Millisecond)
			if i%4 >= 2 {
				leader.must("set x %d", i) // which the heir lacks
			}
			began := time.Now()
			if first := in.handing.transfer(to); i%8 >= 4 {
				if second := in.handing.transfer(""); begun(first) && begun(second) {
					l.t.Errorf("%d: two transfers are under way", i)
				}
			}
			leader.must("set y %d", i)
			if took, most := time.Since(began), in.node.cfg.Tuning.Heartbeat+200*time.Millisecond; took > most {
				l.t.Errorf("%d: a write took %v", i, took)
			}
			l.net.Heal()
			time.Sleep(2 * time.Second)
		}
	})
}
