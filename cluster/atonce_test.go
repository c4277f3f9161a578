package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Several nodes fall silent at once, and gossip has not noticed. To ask all of them takes no longer than to
// ask one.
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
			// Less than a whole wait is right too: a caller that comes while another one dials waits for the
			// rest of that dial.
			if took := time.Since(began); took == 0 ||
				took > 2*dialTimeout+100*time.Millisecond {
				t.Errorf("%s took %v", what, took)
			}
			l.net.Heal()
			l.until(time.Minute, "all are back", func() bool { return len(leader.members.others()) == 6 })
		}
	})
}

// Voters fall silent, and gossip has not noticed. If the others are a majority, whoever asks the voters waits
// for no silent one. If they are not, all silent ones together take no longer than one.
func TestSilentVoters(t *testing.T) {
	t.Parallel()
	inLab(t, 5, false, func(l *lab) {
		for what, ask := range map[string]func(lead *leadership, other string) error{
			"askVoters": func(lead *leadership, _ string) error { return lead.confirming.askVoters() },
			"quorumWithout": func(lead *leadership, other string) error {
				return lead.proving.quorumWithout(other, nil)
			},
		} {
			for silent := 2; silent <= 3; silent++ {
				var leader *labNode
				var others []*labNode
				l.until(time.Minute, "all vote and are seen", func() bool {
					leader, others = l.leader()
					return len(leader.instance().voters()) == 5 && len(leader.members.others()) == 4
				})
				lead, other := leader.instance().leading.now(), others[0].instance().server
				l.cut(others[:silent]...)
				began := time.Now()
				err := ask(lead, other)
				took := time.Since(began)
				l.net.Heal()
				if silent == 2 && (err != nil || took > 100*time.Millisecond) {
					t.Errorf("%s, with two of five silent: %v after %v", what, err, took)
				}
				if silent == 3 && (err == nil || took > time.Second+100*time.Millisecond) {
					t.Errorf("%s, with three of five silent: %v after %v", what, err, took)
				}
			}
		}
	})
}
