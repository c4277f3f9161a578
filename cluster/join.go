package cluster

import (
	"errors"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

const (
	joinFirst = 500 * time.Millisecond
	joinAlone = 5 * time.Second // the longest pause of a node that knows nobody
	// the longest pause of a member between calls to the missing; shorter than listenFirst
	joinTogether = 2 * time.Second
	sayPause     = 10 * time.Second // between two lines that say why, at least
)

// join keeps this node in touch with the others: it calls its seeds, and every configured member that is not
// alive, for ever. memberlist forgets the dead after half a minute and would never find the other half of a
// long partition.
func (n *Node) join() {
	pause, said := joinFirst, complaint{at: time.Now()}
	for {
		missing := n.missing()
		n.call(missing)
		longest := joinTogether
		if n.members.alone() {
			if len(n.instance().configuration().Servers) < 2 {
				longest = joinAlone
			}
			if silent := n.unanswered(); silent != "" && said.due(silent, time.Now()) {
				n.log.Warn("no other node of the farm answers; this node keeps trying", "join", silent)
			}
		}
		pause = min(pause*3/2, longest)
		if !n.sleepUnlessAlone(pause) {
			return
		}
	}
}

// call exchanges member lists with whoever answers at the addresses. It does not wait: one that does not
// answer takes seconds, in which the others would not be called again, and a founder that comes back listens
// for three only.
func (n *Node) call(addrs []string) {
	for _, addr := range addrs {
		if n.calling.has(addr) {
			continue
		}
		n.calling.set(addr, true)
		n.spawn(func() {
			defer n.calling.set(addr, false)
			n.gossip().list.Join([]string{addr}) // an error says that nobody was there
		})
	}
}

// sleepUnlessAlone waits, but not on, if the last other member is lost meanwhile.
func (n *Node) sleepUnlessAlone(d time.Duration) bool {
	alone := n.members.alone()
	end := time.Now().Add(d)
	for time.Now().Before(end) && n.members.alone() == alone {
		if !sleep(n.ctx, min(joinFirst, time.Until(end)+time.Millisecond)) {
			return false
		}
	}
	return n.ctx.Err() == nil
}

// missing returns the addresses at which a member should be and nobody is known to be: resolved anew each
// time, this node's own left out.
func (n *Node) missing() []string {
	candidates := n.seeds.addrs(n.ctx)
	n.reportNames()
	n.endIfAstray(candidates)
	if name := n.seeds.shared(); name != "" && n.self().cluster == "" {
		n.warnOnce("shared name", "a name in Join stands for several nodes, this one among them, so the "+
			"length of the list does not "+
			"tell how many nodes found the farm. Set Expect to their number. Until then this node founds "+
			"none.", errors.New(name))
	}
	for _, srv := range n.instance().configuration().Servers {
		if node := wire.NodeOf(string(srv.ID)); node != n.id {
			candidates = append(candidates, n.directory.Addr(node))
		}
	}
	candidates = append(candidates, n.hearsay()...)
	known := map[string]bool{"": true}
	for _, s := range n.members.all() {
		if s.Status == roster.Alive {
			known[s.Addr] = true
		}
	}
	var out []string
	for _, c := range candidates {
		addrs, _ := n.hooks.lookup.resolve(n.ctx, c) // reportNames has said what is wrong with Join
		for _, addr := range addrs {
			if !known[addr] && !n.ownAddr(addr) {
				known[addr] = true
				out = append(out, addr)
			}
		}
	}
	return out
}

// hearsay returns where others may be, as long as nobody else is known to be alive: then gossip knows better.
func (n *Node) hearsay() []string {
	if !n.members.alone() {
		n.contacts.forget()
	}
	return n.contacts.all()
}
