package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// atWork reports whether a node's Raft is busy with something that its leader has sent.
func (n *labNode) atWork() bool {
	t := n.instance().transport
	return t.appending.Load() != nil || t.nudging.Load() != nil
}

// besideBusy runs a test on three nodes, of which two may lead. The third one has all of the log, and its
// Raft is busy because its state machines hang, until free is called.
func besideBusy(t *testing.T, heartbeat time.Duration, f func(l *lab, leader, busy *labNode, free func())) {
	t.Helper()
	unformed(t, 3, false, func(l *lab) {
		hangs := make(chan struct{})
		free := sync.OnceFunc(func() { close(hangs) })
		defer free()
		for i, n := range l.nodes {
			n.conf.Tuning.Heartbeat = heartbeat
			n.conf.Machines = map[string]func() StateMachine{"kv": func() StateMachine {
				m := &kv{M: map[string]string{}}
				if i == 2 {
					m.Applying = func() { <-hangs }
				}
				return m
			}}
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		busy := l.nodes[2]
		l.ready(l.nodes[:2]...)
		leader, _ := l.leader(l.nodes[:2]...)
		in := leader.instance()
		l.until(20*time.Second, "all vote", func() bool { return len(in.voters()) == len(l.nodes) })
		for writes := 0; !busy.atWork(); writes++ { // its queue to the machines is full then
			if writes > 1000 {
				l.t.Fatal("its Raft is not busy")
			}
			leader.must("set x %d", writes)
			time.Sleep(20 * time.Millisecond) // it has heard of the commit then
			for wait := 0; busy.atWork() && wait < 20; wait++ {
				time.Sleep(10 * time.Millisecond)
			}
		}
		f(l, leader, busy, free)
	})
}

// A follower whose Raft is busy is heard all the time, since its transport answers heartbeats. A transfer to
// it holds up writes only for the time that raft gives it. When its Raft is free, the order to stand for
// election does not count any more.
func TestTransferToOneThatIsBusy(t *testing.T) {
	t.Parallel()
	besideBusy(t, 0, func(l *lab, leader, heir *labNode, free func()) {
		in := leader.instance()
		term, began := in.raft.CurrentTerm(), time.Now()
		if f := in.handing.transfer(heir.instance().server); !begun(f) {
			l.t.Fatal(f.Error())
		}
		leader.must("set y 1")
		if took, most := time.Since(began), in.node.cfg.Tuning.Heartbeat+200*time.Millisecond; took > most {
			l.t.Errorf("a write took %v", took)
		}
		time.Sleep(10 * time.Second)
		free()
		time.Sleep(5 * time.Second)
		if now := leader.State(); now.Leader != leader.ID() || now.Term != term {
			l.t.Errorf("in term %d %s leads, and not %s, of term %d", now.Term, now.Leader, leader.ID(), term)
		}
		if s := leader.Stats(); s.Restarted != 0 {
			l.t.Errorf("Raft was started anew: %+v", s.Restarts)
		}
	})
}

// While a transfer to a busy node ends, the next one to the same node begins. Its calls are not ended with
// those of the first.
func TestTransferAfterAnother(t *testing.T) {
	t.Parallel()
	const patience = 3 * time.Second
	besideBusy(t, patience, func(l *lab, leader, heir *labNode, free func()) {
		in, id := leader.instance(), heir.instance().server
		if f := in.handing.transfer(id); !begun(f) {
			l.t.Fatal(f.Error())
		}
		time.Sleep(patience + patience/5) // raft has given it up, and calls to the heir were ended once
		free()
		// so that it takes longer to connect, and less long than raft waits for it
		l.net.Delay(leader.ip, heir.ip, 200*time.Millisecond)
		l.net.Delay(heir.ip, leader.ip, 200*time.Millisecond)
		var err error
		for range 10 {
			began := time.Now()
			if err = in.handing.transfer(id).Error(); time.Since(began) > 0 {
				break
			}
			time.Sleep(time.Millisecond) // it took a connection that was ended before
		}
		if err != nil {
			l.t.Errorf("the next one: %v", err)
		}
		if in.raft.State() == raft.Leader {
			l.t.Error("nobody has taken over")
		}
	})
}

// An order to stand for election is refused if it comes from a node that does not lead.
func TestOrderOfOneThatDoesNotLead(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		term := leader.State().Term
		tr, to := others[0].instance().transport, others[1].instance().server
		err := tr.NetworkTransport.TimeoutNow(raft.ServerID(to), raft.ServerAddress(to),
			&raft.TimeoutNowRequest{RPCHeader: tr.header()}, new(raft.TimeoutNowResponse))
		if err == nil || !strings.Contains(err.Error(), errTooLate.Error()) {
			l.t.Errorf("it was answered by %v", err)
		}
		time.Sleep(3 * time.Second)
		if now := leader.State(); now.Leader != leader.ID() || now.Term != term {
			l.t.Errorf("in term %d %s leads, and not %s, of term %d", now.Term, now.Leader, leader.ID(), term)
		}
	})
}

// Raft would wait until a snapshot has arrived, which may take minutes.
func TestTransferToOneThatIsSentASnapshot(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		in := leader.instance()
		for _, o := range others {
			defer in.layer.followers.of(o.instance().server).feed(1, 1)()
		}
		for _, heir := range []string{"", others[0].instance().server} {
			if f := in.handing.transfer(heir); begun(f) {
				l.t.Errorf("a transfer to %q was begun", heir)
			}
		}
		leader.must("set x 1")
	})
}

// A node that stops while another voter stops hands over to one that it hears, and does not wait for the one
// that it would have chosen.
func TestHandOverToOneThatIsHeard(t *testing.T) {
	t.Parallel()
	inLab(t, 5, true, func(l *lab) {
		leader, others := l.leader()
		in := leader.instance()
		l.until(20*time.Second, "all vote", func() bool { return len(in.voters()) == len(l.nodes) })
		var order []*labNode // as the configuration has them
		for _, srv := range in.configuration().Servers {
			for _, o := range others {
				if o.instance().server == string(srv.ID) {
					order = append(order, o)
				}
			}
		}
		stops := order[3]
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stops.PrepareStop(ctx)
		time.Sleep(3 * time.Second) // until all have heard of it, and have applied the same
		for _, silent := range order[:2] {
			l.net.Cut(leader.ip, silent.ip)
		}
		time.Sleep(2 * in.node.cfg.Tuning.Heartbeat)
		began := time.Now()
		leader.stopping.handOver()
		if took := time.Since(began); took > 300*time.Millisecond || in.raft.State() == raft.Leader {
			l.t.Errorf("after %v it is %v", took, in.raft.State())
		}
		l.net.Heal()
		if now, _ := l.leader(); now != order[2] {
			l.t.Errorf("%s leads, and not %s", now.conf.Name, order[2].conf.Name)
		}
		stops.StayOn()
	})
}

// If nobody can take over, a node that stops does not wait for longer than a heartbeat timeout.
func TestHandOverToNobody(t *testing.T) {
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		in := leader.instance()
		for _, o := range others {
			defer in.layer.followers.of(o.instance().server).feed(1, 1)()
		}
		began := time.Now()
		leader.stopping.handOver()
		if took := time.Since(began); took > in.node.cfg.Tuning.Heartbeat+50*time.Millisecond {
			l.t.Errorf("it took %v", took)
		}
	})
}

// Leadership is not handed to a server whose vote is being taken, nor to one that has none any more; and the
// vote of an heir is not taken while it is to take over. Otherwise raft could take up both, in any order.
func TestTransferBesideAVoteThatIsTaken(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		in, heir := leader.instance(), others[0].instance().server
		latest := in.handing.latest
		err := latest.takeVote(heir, func() error {
			if f := in.handing.transfer(heir); begun(f) {
				l.t.Error("leadership is handed to a server whose vote is being taken")
			}
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
		if _, err := latest.begin(heir, time.Second); err != nil {
			l.t.Fatal(err)
		}
		demote := voting.Change{Kind: voting.Demote, Server: heir}
		err = in.leading.now().controlling.carryOut(demote)
		if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
			l.t.Errorf("the vote of an heir is taken: %v", err)
		}
		time.Sleep(time.Second) // an answer of raft may never come
		if err := in.leading.now().controlling.carryOut(demote); err != nil {
			l.t.Error(err)
		}
		if f := in.handing.transfer(heir); begun(f) {
			l.t.Error("leadership is handed to a server that has no vote")
		}
	})
}

// The heir of a transfer stays marked until raft has answered that one: neither another transfer that is
// asked for meanwhile nor the late answer to an earlier one ends that. Then there may be another one.
func TestOneTransferAtATime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h handover
		marked := func(heir string, want bool) {
			t.Helper()
			taken := false
			err := h.takeVote(heir, func() error { taken = true; return nil })
			if (err != nil) != want || taken == want {
				t.Errorf("the vote of %s: %v; leadership is handed to it: %v", heir, err, want)
			}
		}
		first, err := h.begin("a", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.begin("b", time.Second); !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
			t.Errorf("another transfer at the same time: %v", err)
		}
		marked("a", true)
		marked("b", false)
		time.Sleep(time.Second) // raft has not answered
		second, err := h.begin("b", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		h.end(first)
		marked("a", false)
		marked("b", true)
		h.end(second)
		marked("b", false)
		if _, err := h.begin("a", time.Second); err != nil {
			t.Errorf("after raft's answer: %v", err)
		}
	})
}

// A leader that is about to stop knows of a node that it has let go that this one stops as well, before
// gossip says so: otherwise it would wait for somebody to lead who is gone.
func TestWhoIsLetGoDoesNotStay(t *testing.T) {
	t.Parallel()
	inLab(t, 2, true, func(l *lab) {
		leader, others := l.leader()
		if !leader.stopping.othersStay() {
			l.t.Fatal("nobody stays")
		}
		in, id := others[0].instance(), others[0].standing.Identity()
		from := wire.Hello{Source: in.server, Boot: id.Boot}
		err := leader.instance().leading.answerFarewell(l.t.Context(), from, voting.Demote, in.server)
		if err != nil {
			l.t.Fatal(err)
		}
		if leader.stopping.othersStay() {
			l.t.Error("who has said farewell stays")
		}
	})
}
