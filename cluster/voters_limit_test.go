package cluster

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// The nodes were given different MaxVoters. The one of the leader holds, and that is stable. A node that has
// another one says so.
// Slow: it takes minutes to see that something is stable, with five nodes and two leaders.
func TestMaxVotersDiffer(t *testing.T) {
	if race.Enabled {
		t.Skip(onlyWaitedFor)
	}
	t.Parallel()
	unformed(t, 5, false, func(l *lab) {
		l.symmetric()
		logs := map[*labNode]*lockedBuffer{}
		for i, n := range l.nodes {
			n.conf.Tuning.MaxVoters = 3 + 2*(i%2)
			logs[n] = &lockedBuffer{}
			n.log = slog.New(slog.NewTextHandler(logs[n], nil))
			n.start()
		}
		l.ready(l.nodes...)
		const complaint = "Give all nodes the same MaxVoters"
		for range 2 {
			leader, others := l.leader()
			l.until(time.Minute, "the leader has its way",
				func() bool { return len(leader.instance().voters()) == leader.conf.Tuning.MaxVoters })
			for range 160 {
				if voters := len(leader.instance().voters()); voters != leader.conf.Tuning.MaxVoters {
					t.Fatalf("%d voters, the leader's MaxVoters is %d", voters, leader.conf.Tuning.MaxVoters)
				}
				time.Sleep(500 * time.Millisecond)
			}
			for _, n := range l.nodes {
				if said := strings.Contains(logs[n].String(),
					complaint); n.conf.Tuning.MaxVoters != leader.conf.Tuning.MaxVoters && !said {
					t.Errorf("%s does not say that its MaxVoters is another one", n.conf.Name)
				}
			}
			leader.stop()
			leader.start()
			l.ready(leader, others[0])
		}
	})
	together(t, 5, false, func(l *lab) {
		log := &lockedBuffer{}
		leader, _ := l.leader()
		leader.stop()
		leader.log = slog.New(slog.NewTextHandler(log, nil))
		leader.start()
		l.ready(leader)
		time.Sleep(90 * time.Second)
		if strings.Contains(log.String(), "MaxVoters") {
			t.Errorf("a farm whose nodes agree is warned:\n%s", log)
		}
	})
}
