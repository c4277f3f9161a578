package cluster

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// earlierKV is kv as a program of an earlier release has it: it does not know "push".
type earlierKV struct{ kv }

func (s *earlierKV) Apply(index uint64, now time.Time, cmd []byte) []byte {
	if strings.HasPrefix(string(cmd), "push") {
		panic("unknown command")
	}
	return s.kv.Apply(index, now, cmd)
}

// ofRelease has the nodes run, from their next start on, a program of the earlier release, or of the later
// one, which has one more state machine and one more kind of command.
func ofRelease(later bool, nodes ...*labNode) {
	for _, n := range nodes {
		n.hooks.maxLevel = wire.LevelLevels
		n.conf.Machines = map[string]func() StateMachine{
			"kv": func() StateMachine { return &earlierKV{kv{M: map[string]string{}}} }}
		n.conf.Levels = nil
		if later {
			n.hooks.maxLevel, n.conf.Machines, n.conf.Levels = wire.LevelSafety, kvAnd("later"), laterLevels()
		}
	}
}

func laterLevels() map[string]func([]byte) int {
	return map[string]func([]byte) int{
		"later": func([]byte) int { return wire.LevelSafety },
		"kv": func(cmd []byte) int {
			if strings.HasPrefix(string(cmd), "push") {
				return wire.LevelSafety
			}
			return wire.LevelFirst
		},
	}
}

func (n *labNode) written() []byte {
	n.lab.t.Helper()
	var b bytes.Buffer
	if _, err := n.WriteSnapshot(&b); err != nil {
		n.lab.t.Fatal(err)
	}
	return b.Bytes()
}

// A new state machine and a new kind of command do no harm to a node of the release before. While that node
// is there they are refused, and it can read all snapshots. Afterwards they work everywhere.
// Slow: a farm goes through its levels, in memory and with disks.
func TestNewMachinesBesideAnOldProgram(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		unformed(t, 3, durable, func(l *lab) {
			old, fresh := l.nodes[0], l.nodes[1:]
			ofRelease(false, old)
			ofRelease(true, fresh...)
			for _, n := range l.nodes {
				n.conf.Join = n.everybody()
				n.start()
			}
			l.ready(l.nodes...)
			for _, n := range fresh {
				n.refuses("later", "set x 1")
				n.refuses("kv", "push x 1")
				n.must("append x 1")
				if _, err := n.Handle("later").Query(l.ctx(20*time.Second),
					[]byte("x")); !errors.Is(err, ErrLevel) {
					l.t.Errorf("%s: query of the new machine: %v", n.conf.Name, err)
				}
			}
			l.agree()
			l.until(10*time.Second, "new programs write the snapshot that the old one writes", func() bool {
				want := old.written()
				return bytes.Equal(fresh[0].written(), want) && bytes.Equal(fresh[1].written(), want)
			})
			ofRelease(true, old)
			old.again()
			if level, err := old.Finalize(l.ctx(20 * time.Second)); level != wire.LevelSafety || err != nil {
				l.t.Fatalf("level %d: %v", level, err)
			}
			for _, n := range l.nodes {
				n.accepts("later", "append y 1")
				n.accepts("kv", "push y 1")
				if got := n.Handle("later").Level(); got != wire.LevelSafety {
					l.t.Errorf("%s: level %d", n.conf.Name, got)
				}
				n.stop()
				n.start()
				n.accepts("later", "append y 2") // though it has not heard of any level yet
				l.ready(n)
			}
			l.until(10*time.Second, "the new machine is in the snapshot", func() bool {
				b := old.written()
				return bytes.Contains(b, []byte("\x05later")) && bytes.Contains(b, []byte("1,2,1,2,1,2,"))
			})
		})
	}
}

func (n *labNode) refuses(machine, cmd string) {
	n.lab.t.Helper()
	if _, _, err := n.Handle(machine).Propose(n.lab.ctx(20*time.Second),
		[]byte(cmd)); !errors.Is(err, ErrLevel) || errors.Is(err, ErrUncertain) {
		n.lab.t.Errorf("%s: %s %s: %v, want ErrLevel", n.conf.Name, machine, cmd, err)
	}
}

func (n *labNode) accepts(machine, cmd string) {
	n.lab.t.Helper()
	if _, _, err := n.Handle(machine).Propose(n.lab.ctx(20*time.Second), []byte(cmd)); err != nil {
		n.lab.t.Errorf("%s: %s %s: %v", n.conf.Name, machine, cmd, err)
	}
}

// The leader decides: a node that sends what it may not send yet is told so, and nothing is done.
func TestLeaderRefusesWhatNeedsALevel(t *testing.T) {
	t.Parallel()
	unformed(t, 2, false, func(l *lab) {
		ofRelease(false, l.nodes...)
		for _, n := range l.nodes {
			n.conf.Join = n.everybody()
			n.start()
		}
		l.ready(l.nodes...)
		for _, n := range l.nodes { // everybody speaks the level from here on, and nobody has put it in force
			n.stop()
			ofRelease(true, n)
			n.hooks.maxLevel = 0 // so that it sends what it should not
			n.start()
			l.ready(n)
		}
		_, others := l.leader()
		p := &proposal{machine: "kv", cmd: []byte("push x 1"), done: make(chan outcome, 1)}
		others[0].instance().origin.submit(p)
		if out := <-p.done; !errors.Is(out.err, ErrLevel) || errors.Is(out.err, ErrUncertain) {
			l.t.Errorf("the leader answered %+v", out)
		}
		l.agree()
		if got := others[0].get("x"); got != "" {
			l.t.Errorf("x = %q", got)
		}
	})
}

// The answer to a first attempt was lost, and the second attempt is refused. The refusal says nothing about
// the first one.
func TestRefusalAfterALostAnswer(t *testing.T) {
	p := &proposal{machine: "kv", cmd: []byte("push x 1"), done: make(chan outcome, 1)}
	out := newOutgoing()
	out.ps = []*proposal{p}
	out.seal()
	if err := out.outcomeOf(ErrLevel); !errors.Is(err, ErrUncertain) {
		t.Error(err)
	}
	out.release()
	if err := out.outcomeOf(ErrLevel); errors.Is(err, ErrUncertain) || !errors.Is(err, ErrLevel) {
		t.Error(err)
	}
}
