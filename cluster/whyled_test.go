package cluster

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// leaderLines keeps the lines about changes of the leader that a node logs, as "leader: reason".
type leaderLines struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
}

func (h *leaderLines) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *leaderLines) WithGroup(string) slog.Handler            { return h }
func (h *leaderLines) Enabled(context.Context, slog.Level) bool { return true }
func (h *leaderLines) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "leader changed" {
		return nil
	}
	var leader, reason string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case keyLeader:
			leader = a.Value.String()
		case "reason":
			reason = a.Value.String()
		}
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, leader+": "+reason)
	return nil
}

// take returns the lines since it was called last.
func (h *leaderLines) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := h.lines
	h.lines = nil
	return lines
}

// ends are the ways in which a node stops being the leader. What the others say of it begins with X, its
// name; here is what it says itself, "" if nobody asks.
var ends = map[string]struct {
	do          func(l *lab, old, heir *labNode)
	there, here string
}{
	"stop": {func(_ *lab, old, _ *labNode) { old.stop() }, "X stops", "this node stops"},
	"leave": {func(_ *lab, old, _ *labNode) { old.leave() }, "X leaves for good",
		"this node leaves for good"},
	"kill": {func(_ *lab, old, _ *labNode) { old.kill() }, "X was not heard in time", ""},
	"partition": {func(l *lab, old, _ *labNode) {
		l.cut(old)
		time.Sleep(10 * time.Second)
		l.net.Heal()
	}, "X was not heard in time", "this node lost contact with a majority"},
	"transfer": {func(l *lab, old, heir *labNode) {
		id := heir.instance().server
		f := old.instance().raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(id))
		if err := f.Error(); err != nil {
			l.fatalf("%v", err)
		}
	}, "X handed over", "this node handed over"},
}

// Every node says for what reason the leader changed: the one that led, its heir, and the one that only
// looked on.
// Slow: ten farms, and a minute of silence in each.
func TestWhyLeaderChanged(t *testing.T) {
	for name, c := range ends {
		for _, durable := range []bool{false, true} {
			t.Run(name+map[bool]string{false: "/memory", true: "/durable"}[durable], func(t *testing.T) {
				unformed(t, 3, durable, func(l *lab) {
					logs := l.startLogged()
					old, others := l.leader()
					for n, h := range logs {
						first := old.conf.Name + ": it is the first that this node knows of"
						if lines := h.take(); !slices.Contains(lines, first) {
							t.Errorf("%s: %q", n.conf.Name, lines)
						}
					}
					c.do(l, old, others[0])
					time.Sleep(10 * time.Second)
					heir, _ := l.leader(others...)
					if lines := logs[old].take(); c.here != "" {
						checkReasons(t, old, heir, lines, c.here)
					}
					for _, n := range others {
						checkReasons(t, n, heir, logs[n].take(), old.conf.Name+c.there[1:])
					}
					time.Sleep(time.Minute)
					for n, h := range logs {
						if lines := h.take(); len(lines) > 0 {
							t.Errorf("%s, at rest: %q", n.conf.Name, lines)
						}
					}
				})
			})
		}
	}
}

// startLogged forms a farm of all nodes and keeps what they log of their leaders.
func (l *lab) startLogged() map[*labNode]*leaderLines {
	logs := map[*labNode]*leaderLines{}
	for i, n := range l.nodes {
		logs[n] = &leaderLines{}
		n.log = slog.New(logs[n])
		if i > 0 {
			n.conf.Join = []string{"10.0.0.1:7946"}
		}
		n.start()
	}
	l.ready(l.nodes...)
	time.Sleep(10 * time.Second)
	return logs
}

// checkReasons checks that a node logs the change to the heir, and the time without a leader, with that
// reason. A node that has ended may not hear of the heir.
func checkReasons(t *testing.T, n, heir *labNode, lines []string, reason string) {
	t.Helper()
	none, leads := "none: "+reason, heir.conf.Name+": "+reason
	wrong := func(line string) bool { return line != none && line != leads }
	if len(lines) == 0 || slices.ContainsFunc(lines, wrong) || n.up && !slices.Contains(lines, leads) {
		t.Errorf("%s, whose leader is %s, says %q; the reason is %q", n.conf.Name, heir.conf.Name, lines,
			reason)
	}
}

// leave takes the node out of the farm for good.
func (n *labNode) leave() {
	n.lab.t.Helper()
	n.up = false
	n.live.Store(nil)
	if err := n.Leave(n.lab.ctx(20 * time.Second)); err != nil {
		n.lab.t.Errorf("leave: %v", err)
	}
}

// The reason follows from what was seen. It is hard to have a farm show each of these cases.
func TestWhyLedByWhatWasSeen(t *testing.T) {
	inLab(t, 1, false, func(l *lab) {
		n := l.nodes[0].Node
		me := n.instance().server
		header := func(id string) raft.RPCHeader { return raft.RPCHeader{ID: []byte(id)} }
		heard := func(s *reigns, id string, term uint64) {
			req := &raft.AppendEntriesRequest{RPCHeader: header(id), Term: term}
			s.saw(req)
			s.taken(req)
		}
		for name, c := range map[string]struct {
			before, now string
			see         func(s *reigns)
			want        string
		}{
			"asked": {"x.1", "", func(s *reigns) { s.saw(&raft.TimeoutNowRequest{RPCHeader: header("x.1")}) },
				"x handed over"},
			"asked by a deposed": {"x.1", "", func(s *reigns) {
				s.saw(&raft.TimeoutNowRequest{RPCHeader: header("z.1")})
			}, "x was not heard in time"},
			"another was asked": {"x.1", "y.1", func(s *reigns) {
				s.saw(&raft.RequestVoteRequest{RPCHeader: header("y.1"), Term: 8, LeadershipTransfer: true})
			}, "x handed over"},
			"asked in another reign": {"x.1", "y.1", func(s *reigns) {
				s.saw(&raft.RequestVoteRequest{RPCHeader: header("y.1"), Term: 7, LeadershipTransfer: true})
			}, "x was not heard in time"},
			"an heir failed long ago": {"x.1", "y.1", func(s *reigns) {
				s.saw(&raft.RequestVoteRequest{RPCHeader: header("y.1"), Term: 8, LeadershipTransfer: true})
				time.Sleep(time.Minute)
			}, "x was not heard in time"},
			"a candidate": {"x.1", "", func(s *reigns) {
				s.saw(&raft.RequestVoteRequest{RPCHeader: header("y.1"), Term: 8})
			}, "x was not heard in time"},
			"silent": {"x.1", "y.1", func(s *reigns) { heard(s, "y.1", 8) }, "x was not heard in time"},
			"heard": {"x.1", "y.1", func(s *reigns) {
				heard(s, "x.1", 7)
				heard(s, "y.1", 8)
			}, "a newer term was seen from y"},
			"heard, asked": {"x.1", "", func(s *reigns) { heard(s, "x.1", 7) }, "x handed over"},
			"here":         {me, "", func(s *reigns) {}, "this node lost contact with a majority"},
			"outdone": {me, "y.1", func(s *reigns) { heard(s, "y.1", 8) },
				"a newer term was seen from y"},
			"outdone, by an answer": {me, "", func(s *reigns) { s.sawTerm(8, []byte("y.1")) },
				"a newer term was seen from y"},
			"handed over": {me, "y.1", func(s *reigns) {
				s.saw(&raft.RequestVoteRequest{RPCHeader: header("y.1"), Term: 8, LeadershipTransfer: true})
				heard(s, "y.1", 8)
			}, "this node handed over"},
			"again":  {"x.1", "x.1", func(s *reigns) {}, "it was elected again"},
			"first":  {"", "x.1", func(s *reigns) {}, "it is the first that this node knows of"},
			"nobody": {"", "", func(s *reigns) {}, "none has been elected yet"},
		} {
			in := newInstance(n.instances, "n1.1", 1)
			in.chronicle.reigns.change(c.before, 7)
			time.Sleep(n.cfg.Tuning.Heartbeat)
			c.see(&in.chronicle.reigns)
			in.chronicle.reigns.change(c.now, 8)
			line := leaderChange{c.before, c.now, 8, in.chronicle.reigns.end(c.before)}
			if got, wait := in.chronicle.whyLed(line); got != c.want || wait > reasonPatience {
				t.Errorf("%s: %q after %v, want %q", name, got, wait, c.want)
			}
		}
		in := newInstance(n.instances, "n1.1", 1)
		if got, _ := in.chronicle.whyLed(leaderChange{"x.1", "y.1", 8, nil}); got != "this node began anew" {
			t.Errorf("without a reign: %q", got)
		}
	})
}
