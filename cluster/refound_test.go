package cluster

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// A farm is restored from a backup, and the only node that has the new state is killed before it has handed
// it on. The others, who have given up theirs, wait for it: they found no farm beside it, however few Expect
// asks for.
// Slow: five durable nodes wait for two minutes of their time.
func TestRestoredFarmIsWaitedFor(t *testing.T) {
	t.Parallel()
	if race.Enabled {
		t.Skip(onlyWaitedFor)
	}
	for _, restarted := range []bool{false, true} {
		unformed(t, 5, true, func(l *lab) {
			l.symmetric()
			log := &lockedBuffer{}
			for _, n := range l.nodes {
				n.conf.Expect = 3
				n.log = slog.New(slog.NewTextHandler(log, nil))
				n.start()
			}
			l.ready(l.nodes...)
			leader, others := l.leader()
			l.fill(leader, "k", l.nodes...)
			before := leader.State().ClusterID
			for _, n := range others {
				l.net.Delay(leader.ip, n.ip, 50*time.Millisecond)
			}
			if err := leader.Restore(l.ctx(time.Minute), bytes.NewReader(snapshotOf(t, leader))); err != nil {
				t.Fatal(err)
			}
			for slices.ContainsFunc(others, func(n *labNode) bool { return n.self().cluster == before }) {
				time.Sleep(time.Millisecond)
			}
			leader.kill()
			for _, n := range others {
				l.net.Delay(leader.ip, n.ip, 0)
				if restarted {
					n.kill()
					n.start()
				}
			}
			time.Sleep(2 * time.Minute)
			if !strings.Contains(log.String(), "waits for one that has") {
				t.Errorf("nobody says what is missing")
			}
			leader.start()
			l.ready(l.nodes...)
			for _, n := range l.nodes {
				l.filled(n, "k")
			}
		})
	}
}

// Most nodes of a memory farm are killed and started again. They find each other before they hear of those
// that are left, over a slow line. They are enough to found a farm; but the farm lives, so they wait a moment
// before they believe that there is none.
//
// Slow: it waits for deaths in real time.
func TestSurvivorsAreHeardFirst(t *testing.T) {
	t.Parallel()
	unformed(t, 5, false, func(l *lab) {
		l.symmetric()
		for _, n := range l.nodes {
			n.conf.Expect = 3
			n.start()
		}
		l.ready(l.nodes...)
		leader, others := l.leader()
		l.fill(leader, "k", l.nodes...)
		lost, left := append([]*labNode{leader}, others[:2]...), others[2:]
		for _, n := range lost {
			for _, m := range left {
				l.net.Delay(n.ip, m.ip, 50*time.Millisecond)
				l.net.Delay(m.ip, n.ip, 50*time.Millisecond)
			}
			n.kill()
		}
		time.Sleep(5 * time.Second)
		l.comeBack("k", lost...)
	})
}
