package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Several nodes fall silent at once, and gossip has not noticed. Whoever asks all of them something waits no
// longer than for one.
func TestSilentNodesCostAsMuchAsOne(t *testing.T) {
	t.Parallel()
	unformed(t, 7, false, func(l *lab) {
		for i, n := range l.nodes {
			n.conf.Tuning.MaxVoters = 3
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.start()
		}
		l.ready(l.nodes...)
		leader, _ := l.leader()
		lead, cluster := leader.instance().leading.now(), leader.self().cluster
		compared := newComparison(lead.tenure, lead.flights, lead.proving)
		var silent []*labNode
		var servers []string
		for _, n := range l.nodes {
			server := n.instance().server
			if servers = append(servers, server); !slices.Contains(leader.instance().voters(), server) {
				silent = append(silent, n)
			}
		}
		for what, ask := range map[string]func(){
			"askOthers":      func() { leader.mending.askOthers(wire.MethodResync, nil) },
			"claimFarm":      func() { leader.claims.claim(l.ctx(time.Minute)) },
			"giveBack":       func() { leader.claims.giveBack(cluster) },
			"collectPledges": func() { leader.forming.collectPledges(7, leader.members.others()) },
			"askAround":      func() { leader.operators.askAround(l.ctx(time.Minute)) },
			"introduce":      func() { leader.recovery.introduce() },
			"look":           func() { leader.surveys.look(l.ctx(time.Minute), cluster, nil, false) },
			"applied":        func() { lead.controlling.applied(servers) },
			"compare":        func() { compared.ask(1, func(string) bool { return true }) },
		} {
			l.cut(silent...)
			if alive := len(leader.members.others()); alive != 6 {
				t.Fatalf("%s: gossip knows %d others to be alive", what, alive)
			}
			began := time.Now()
			ask()
			// Less than a whole wait is right too: who comes while somebody dials shares what is left of that.
			if took := time.Since(began); took == 0 ||
				took > 2*dialTimeout+100*time.Millisecond {
				t.Errorf("%s took %v", what, took)
			}
			l.net.Heal()
			l.until(time.Minute, "all are back", func() bool { return len(leader.members.others()) == 6 })
		}
	})
}
