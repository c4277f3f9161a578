package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/standing"
	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

const (
	// listenFirst is how long a node that would found a farm listens for one that exists: a machine that lost
	// its disk, or its memory, may still be known to the others, who call it.
	listenFirst = 3 * time.Second

	formEvery = 250 * time.Millisecond
)

// form brings a node without state into a farm. It founds one, alone or with the others that it expects, or
// waits to be taken in by one that exists, for ever. A node with state has nothing to form; Raft carries on.
func (n *Node) form() {
	if n.logs.hadState {
		return
	}
	if n.cfg.Role != Ordinary {
		if n.seeds.founders() > 0 {
			n.log.Warn("a node that never votes cannot found a farm: give it Join addresses", "role",
				n.cfg.Role)
		}
		return
	}
	var said complaint
	if !n.knowinglyAlone() && !sleep(n.ctx, listenFirst) {
		return
	}
	for !n.standing.Belongs() {
		expect := n.seeds.founders()
		if here := n.members.foundersHere(); here < expect {
			n.sayNotFounded(&said, expect, here)
		}
		if n.mayFound(expect) {
			if err := n.found(); err != nil {
				n.fail(fmt.Errorf("found a farm: %w", err))
			}
			return
		}
		if !sleep(n.ctx, formEvery) {
			return
		}
	}
}

// foundAgain is called when this node has given up its farm. Should all that have the other one be lost, those
// who expect each other found it again.
func (n *Node) foundAgain() {
	n.toldSecond.Store(false)
	if n.seeds.founders() > 1 {
		n.spawn(n.form)
	}
}

// knowinglyAlone reports whether this node need not listen for a farm that knows it: somebody has said by
// Expect 1 that it is to found one by itself, nobody is to be joined, and its peer address is on loopback,
// where no other machine can have known it. Elsewhere an empty data directory may be that of a first machine
// that has lost its disk, and whose farm lives on. A memory node forgets at each restart what it belongs to,
// on loopback as well.
func (n *Node) knowinglyAlone() bool {
	return n.durable() && n.cfg.Expect == 1 && len(n.cfg.Join) == 0 && n.cfg.exposed() == ""
}

// mayFound reports whether this node shall found a farm now: nobody has one, and as many founders as are
// expected have pledged to follow this one.
func (n *Node) mayFound(expect int) bool {
	switch {
	case expect == 0:
		return false
	case n.self().cluster != "":
		return true // it had begun to, before it was restarted
	}
	if n.members.seesFarm() {
		return false
	}
	var others []*roster.Sighting
	for _, s := range n.members.all() {
		switch {
		case s.Node == n.id || s.Status != roster.Alive:
		case Role(s.Role) != Ordinary:
		case s.Node < n.id:
			if expect > 1 {
				return false // the lowest NodeID founds
			}
		default:
			others = append(others, s)
		}
	}
	return expect == 1 || len(others)+1 >= expect && n.collectPledges(expect, others)
}

// collectPledges asks the others to follow this node, and reports whether as many did as are expected. Two
// nodes cannot both succeed as long as what is expected is a majority of those that could found.
func (n *Node) collectPledges(expect int, others []*roster.Sighting) bool {
	began := time.Now()
	if !n.standing.Pledge(n.id) {
		return false
	}
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	defer cancel()
	var yes atomic.Int64
	atOnce(others, func(s *roster.Sighting) {
		_, _, err := n.peers.Call(ctx, s.Node, wire.MethodPledge, binary.AppendUvarint(nil, uint64(expect)))
		if err == nil {
			yes.Add(1)
		}
		if errors.Is(err, wire.ErrOtherExpect) {
			n.warnOnce("expect "+s.Node, "another founder expects another number of nodes than this one; "+
				"give all the same Join list, or the same Expect",
				fmt.Errorf("%s at %s, %d here: %w", s.Name, s.Addr, expect, err))
		}
	})
	return 1+int(yes.Load()) >= expect && time.Since(began) < standing.PledgeFor/2
}

// answerPledge is the side of the one that is asked to follow.
func (n *Node) answerPledge(from wire.Hello, payload []byte) error {
	r := wire.NewReader(payload)
	expect := r.Uvarint()
	if err := r.End(); err != nil {
		return err
	}
	switch founder := wire.NodeOf(from.Source); {
	case n.logs.hadState || n.self().cluster != "" || n.members.seesFarm():
		return ErrOtherFarm
	case n.cfg.Role != Ordinary || founder >= n.id:
		return wire.ErrNotMe
	case uint64(n.seeds.founders()) != expect:
		return wire.ErrOtherExpect
	case !n.standing.Pledge(founder):
		return wire.ErrPromised
	}
	return nil
}

// found founds a farm of this node; the others are added to it. The cluster ID is saved before there is a
// log: two logs without one could be spliced together without any error.
func (n *Node) found() error {
	if n.self().cluster == "" {
		err := n.untilFiles(n.ctx, "the identity", n.standing.Found)
		if err != nil && !n.standing.Belongs() {
			return err
		}
		n.metaChanged()
	}
	if n.standing.Belongs() {
		return nil // a farm takes this node in just now
	}
	in := n.instance()
	err := in.guard(in.raft.BootstrapCluster(replica.SoleVoter(in.server)))
	if err == nil {
		begun := func() error { return n.standing.Begun(in.server) }
		// before anything is acknowledged
		if err := n.untilFiles(n.ctx, "the beginning of the log", begun); err != nil {
			return err
		}
		in.electSole()
	}
	if errors.Is(err, raft.ErrCantBootstrap) || errors.Is(err, ErrClosed) {
		return nil // a farm took this node in meanwhile, or it ends
	}
	return err
}

// recordForming is the leader's part of forming: it says in the log how many founders there are to be, and,
// once enough of them vote, that users may write. Both happen once in the life of a farm. The level is
// raised before that, so that nobody who may write meets the farm at a lower one, and the next leader sees
// to it if this one ends.
func (l *leadership) recordForming() {
	f := l.in.fsm
	if !f.Usable() && f.Founders() == 0 {
		expect := max(l.in.node.seeds.founders(), 1)
		if expect == 1 {
			l.raiseAtForming()
		}
		l.commit(func() []byte {
			return binary.AppendUvarint(wire.EntryHeader(wire.EntryFound, l.stamp()), uint64(expect))
		})
	}
	if !f.Usable() && f.Founders() > 0 &&
		len(l.in.voters()) >= voting.OddVoters(f.Founders(), l.in.node.cfg.Tuning.MaxVoters) {
		l.raiseAtForming()
		l.commit(func() []byte { return wire.EntryHeader(wire.EntryFormed, l.stamp()) })
	}
	if f.Usable() {
		l.formOnce.Do(func() { close(l.formed) })
	}
}

// adopt takes over the cluster ID of the farm that takes this node in.
func (n *Node) adopt(cluster string) error {
	if cluster == "" {
		return fmt.Errorf("the other node has no cluster ID: %w", wire.ErrMalformed)
	}
	err := n.standing.Adopt(cluster)
	if err == nil {
		n.metaChanged()
	}
	if err != nil && !errors.Is(err, ErrOtherFarm) {
		n.warnOnce("adopt", "a farm takes this node in, and the data directory cannot be written; see to "+
			"its disk", err)
	}
	return err
}

// endFounding saves, once the farm has a second member, that this node must not found it again: without its
// log it would make a second one under the same cluster ID, which the others could not tell from theirs.
func (n *Node) endFounding() {
	if n.inst.Load() == nil || !n.fsm().Shared() {
		return
	}
	if err := n.standing.EndFounding(); err != nil { // the next news tries again
		n.warnOnce("founding", "the data directory cannot be written", err)
	}
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}
