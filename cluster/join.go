package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	joinFirst = 500 * time.Millisecond
	joinAlone = 5 * time.Second // the longest pause of a node that knows nobody
	// the longest pause of a member between calls to the missing; shorter than listenFirst
	joinTogether = 2 * time.Second
	sayPause     = 10 * time.Second // between two lines that say why, at least
)

// joining keeps this node in touch with the others. Of those in Join who do not answer it says why. What it
// remembers has locks of its own.
type joining struct {
	*base
	members  *members
	gossip   func() *gossip
	seeds    *seeds
	contacts contacts
	calling  names // addresses
}

// lookUp looks up what Join stands for, as far as that is known when the node starts.
func (j *joining) lookUp(ctx context.Context) {
	j.seeds = newSeeds(j.cfg, j.hooks.lookup, j.ownAddr)
	j.seeds.addrs(ctx)
	j.reportNames()
}

// join keeps this node in touch with the others: it calls its seeds, and every configured member that is not
// alive, for ever. memberlist forgets the dead after half a minute and would never find the other half of a
// long partition.
func (j *joining) join() {
	pause, said := joinFirst, complaint{at: time.Now()}
	for {
		missing := j.missing()
		j.call(missing)
		longest := joinTogether
		if j.members.alone() {
			if len(j.instance().configuration().Servers) < 2 {
				longest = joinAlone
			}
			if silent := j.unanswered(); silent != "" && said.sayNow(silent, time.Now()) {
				j.log.Warn("no other node of the farm answers; this node keeps trying", "join", silent)
			}
		}
		pause = min(pause*3/2, longest)
		if !j.sleepUnlessAlone(pause) {
			return
		}
	}
}

// call exchanges member lists with whoever answers at the addresses. It does not wait. An address that does
// not answer takes seconds, in which the others would not be called again; and a founder that comes back
// listens for three seconds only.
func (j *joining) call(addrs []string) {
	for _, addr := range addrs {
		if j.calling.has(addr) {
			continue
		}
		j.calling.set(addr, true)
		j.spawn(func() {
			defer j.calling.set(addr, false)
			j.gossip().list.Join([]string{addr}) // an error says that nobody was there
		})
	}
}

// sleepUnlessAlone waits, but not on, if the last other member is lost meanwhile.
func (j *joining) sleepUnlessAlone(d time.Duration) bool {
	alone := j.members.alone()
	end := time.Now().Add(d)
	for time.Now().Before(end) && j.members.alone() == alone {
		if !sleep.For(j.ctx, min(joinFirst, time.Until(end)+time.Millisecond)) {
			return false
		}
	}
	return j.ctx.Err() == nil
}

// missing returns the addresses at which a member should be and nobody is known to be: resolved anew each
// time, this node's own left out.
func (j *joining) missing() []string {
	candidates := j.seeds.addrs(j.ctx)
	j.reportNames()
	j.endIfAstray(candidates)
	if name := j.seeds.shared(); name != "" && j.self().cluster == "" {
		j.warnOnce("shared name", "a name in Join stands for several nodes, this one among them, so the "+
			"length of the list does not "+
			"tell how many nodes found the farm. Set Expect to their number. Until then this node founds "+
			"none.", errors.New(name))
	}
	for _, srv := range j.instance().configuration().Servers {
		if node := wire.NodeOf(string(srv.ID)); node != j.id {
			candidates = append(candidates, j.directory.Addr(node))
		}
	}
	candidates = append(candidates, j.hearsay()...)
	known := map[string]bool{"": true}
	for _, s := range j.members.all() {
		if s.Status == roster.Alive {
			known[s.Addr] = true
		}
	}
	var out []string
	for _, c := range candidates {
		addrs, _ := j.hooks.lookup.resolve(j.ctx, c) // reportNames has said what is wrong with Join
		for _, addr := range addrs {
			if !known[addr] && !j.ownAddr(addr) {
				known[addr] = true
				out = append(out, addr)
			}
		}
	}
	return out
}

// knowsOthers reports whether this node knows where others may be: by their saved addresses, or by Join.
func (j *joining) knowsOthers() bool {
	found, _ := j.seeds.lookedUp()
	return j.directory.KeepsAny() || len(found) > 0
}

// hearsay returns where others may be, as long as nobody else is known to be alive: then gossip knows better.
func (j *joining) hearsay() []string {
	if !j.members.alone() {
		j.contacts.forget()
	}
	return j.contacts.all()
}

// noteRefusal notes what became of a call; nil if somebody answered. It warns of a node that is there and has
// nothing in common with this one, since that lasts until somebody changes a setting.
func (j *joining) noteRefusal(addr string, err error) {
	j.contacts.called(addr, err)
	for _, reason := range []error{trust.ErrWrongSecret, trust.ErrWrongFarm, trust.ErrWrongAuthority,
		trust.ErrExpired,
		port.ErrRefused} {
		if errors.Is(err, reason) {
			j.warnOnce("refusal "+addr, "another node answers, but its settings keep it from being in one "+
				"farm with this node. Give all nodes the "+
				"same secrets and the same name of the farm. This node keeps trying.",
				fmt.Errorf("%s: %w", addr, err))
			return
		}
	}
}

// endIfAstray ends a node that was never a member if all that Join stands for are nodes of a farm of another
// name. As long as one of them may be another one, this node keeps trying: then it may be the others that are
// set up wrongly.
func (j *joining) endIfAstray(seeds []string) {
	if len(seeds) == 0 || !j.seeds.whole() || j.self().cluster != "" || !j.members.alone() {
		return
	}
	var found error
	for _, addr := range seeds {
		if found = j.contacts.refusal(addr); !errors.Is(found, trust.ErrOtherName) {
			found = nil
			break
		}
	}
	if found != nil {
		j.fail(fmt.Errorf("%w: no node in Join belongs to the farm that this node looks for; give all nodes "+
			"the same Farm, or correct Join: %w", ErrOtherFarm, found))
	}
}
