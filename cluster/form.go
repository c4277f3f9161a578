package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/standing"
	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	// listenFirst is how long a node that would found a farm listens for one that exists: a machine that lost
	// its disk, or its memory, may still be known to the others, who call it.
	listenFirst = 3 * time.Second

	formEvery = 250 * time.Millisecond
)

// forming founds a farm, or has this node follow another founder. What it has begun is in standing.
type forming struct {
	*base
	members *members
	joining *joining
	logs    *logs
	profile *profile
}

// form brings a node without state into a farm. It founds one, alone or with the others that it expects, or
// waits to be taken in by one that exists, for ever. A node with state has nothing to form; Raft carries on.
func (f *forming) form() {
	if f.logs.hadState {
		return
	}
	if f.cfg.Role != Ordinary {
		f.sayCannotFound()
		return
	}
	var said complaint
	if !f.knowinglyAlone() && !sleep.For(f.ctx, listenFirst) {
		return
	}
	for !f.standing.Belongs() {
		expect := f.joining.seeds.founders()
		if here := f.members.foundersHere(); here < expect && !f.members.seesFarm() {
			f.sayNotFounded(&said, expect, here)
		}
		if f.askToFound(expect) {
			if err := f.found(); err != nil {
				f.fail(fmt.Errorf("found a farm: %w", err))
			}
			return
		}
		if !sleep.For(f.ctx, formEvery) {
			return
		}
	}
}

// foundAgain is called when this node has given up its farm for another one. If every node of that one is
// lost later, the nodes that expect each other can found a farm again.
func (f *forming) foundAgain() {
	f.profile.toldSecond.Store(false)
	if f.joining.seeds.founders() > 1 {
		f.spawn(f.form)
	}
}

// knowinglyAlone reports whether this node need not listen for a farm that knows it. Expect 1 must say that
// it founds a farm by itself, Join must be empty, and the peer address must be on loopback, where no other
// machine can have known it. On any other address an empty data directory proves nothing: the first machine
// of a farm may have lost its disk, and its farm may go on without it. A memory node always listens, since it
// forgets at each restart which farm it belongs to.
func (f *forming) knowinglyAlone() bool {
	return f.durable() && f.cfg.Expect == 1 && len(f.cfg.Join) == 0 && f.cfg.exposed() == ""
}

// askToFound has the others pledge to follow this node, if it may found a farm now. It reports whether this
// node is to found one: nobody has a farm, and as many founders as are expected have pledged to follow.
func (f *forming) askToFound(expect int) bool {
	switch {
	case expect == 0:
		return false
	case f.self().cluster != "":
		return true // it had begun to, before it was restarted
	}
	if f.members.seesFarm() {
		return false
	}
	var others []*roster.Sighting
	for _, s := range f.members.all() {
		switch {
		case s.Node == f.id || s.Status != roster.Alive:
		case Role(s.Role) != Ordinary:
		case s.Node < f.id:
			if expect > 1 {
				return false // the lowest NodeID founds
			}
		default:
			others = append(others, s)
		}
	}
	return expect == 1 || len(others)+1 >= expect && f.collectPledges(expect, others)
}

// collectPledges asks the others to follow this node, and reports whether as many did as are expected. Two
// nodes cannot both succeed as long as what is expected is a majority of those that could found.
func (f *forming) collectPledges(expect int, others []*roster.Sighting) bool {
	began := time.Now()
	if !f.standing.Pledge(f.id) {
		return false
	}
	ctx, cancel := context.WithTimeout(f.ctx, dialTimeout)
	defer cancel()
	var yes atomic.Int64
	atOnce(others, func(s *roster.Sighting) {
		_, _, err := f.peers.Call(ctx, s.Node, wire.MethodPledge, binary.AppendUvarint(nil, uint64(expect)))
		if err == nil {
			yes.Add(1)
		}
		if errors.Is(err, wire.ErrOtherExpect) {
			f.warnOnce("expect "+s.Node, "another founder expects another number of nodes than this one; "+
				"give all the same Join list, or the same Expect",
				fmt.Errorf("%s at %s, %d here: %w", s.Name, s.Addr, expect, err))
		}
	})
	return 1+int(yes.Load()) >= expect && time.Since(began) < standing.PledgeFor/2
}

// answerPledge is the side of the one that is asked to follow.
func (f *forming) answerPledge(from wire.Hello, payload []byte) error {
	r := wire.NewReader(payload)
	expect := r.Uvarint()
	if err := r.End(); err != nil {
		return err
	}
	switch founder := wire.NodeOf(from.Source); {
	case f.logs.hadState || f.self().cluster != "" || f.members.seesFarm():
		return ErrOtherFarm
	case f.cfg.Role != Ordinary || founder >= f.id:
		return wire.ErrNotMe
	case uint64(f.joining.seeds.founders()) != expect:
		return wire.ErrOtherExpect
	case !f.standing.Pledge(founder):
		return wire.ErrWordGiven
	}
	return nil
}

// found founds a farm of this node; the others are added to it. The cluster ID is saved before there is a
// log: two logs without one could be spliced together without any error.
func (f *forming) found() error {
	if f.self().cluster == "" {
		err := f.untilFiles(f.ctx, "the identity", f.standing.Found)
		if err != nil && !f.standing.Belongs() {
			return err
		}
		f.profile.change()
	}
	if f.standing.Belongs() {
		return nil // a farm takes this node in just now
	}
	in := f.instance()
	err := in.guard(in.raft.BootstrapCluster(replica.SoleVoter(in.server)))
	if err == nil {
		begun := func() error { return f.standing.Begun(in.server) }
		// before anything is acknowledged
		if err := f.untilFiles(f.ctx, "the beginning of the log", begun); err != nil {
			return err
		}
		in.tuner.electSole()
	}
	if errors.Is(err, raft.ErrCantBootstrap) || errors.Is(err, ErrClosed) {
		return nil // a farm took this node in meanwhile, or it ends
	}
	return err
}

// founding is the leader's part of forming.
type founding struct {
	*tenure
	flights *flights
	raising *raising
	once    sync.Once
	formed  chan struct{} // closed, once, when users may write
}

// record is the leader's part of forming: it says in the log how many founders there are to be, and,
// once enough of them vote, that users may write. Both happen once in the life of a farm. The level is
// raised before that, so that nobody who may write meets the farm at a lower one, and the next leader sees
// to it if this one ends.
func (fo *founding) record() {
	f := fo.in.fsm
	if !f.Usable() && f.Founders() == 0 {
		expect := max(fo.in.node.joining.seeds.founders(), 1)
		if expect == 1 {
			fo.raising.atForming()
		}
		fo.flights.commit(func() []byte {
			return binary.AppendUvarint(wire.EntryHeader(wire.EntryFound, fo.stamp()), uint64(expect))
		})
	}
	if !f.Usable() && f.Founders() > 0 &&
		len(fo.in.voters()) >= voting.OddVoters(f.Founders(), fo.in.node.cfg.Tuning.MaxVoters) {
		fo.raising.atForming()
		fo.flights.commit(func() []byte { return wire.EntryHeader(wire.EntryFormed, fo.stamp()) })
	}
	if f.Usable() {
		fo.once.Do(func() { close(fo.formed) })
	}
}

// adopt takes over the cluster ID of the farm that takes this node in.
func (f *forming) adopt(cluster string) error {
	if cluster == "" {
		return fmt.Errorf("the other node has no cluster ID: %w", wire.ErrMalformed)
	}
	err := f.standing.Adopt(cluster)
	if err == nil {
		f.profile.change()
	}
	if err != nil && !errors.Is(err, ErrOtherFarm) {
		f.warnOnce("adopt", "a farm takes this node in, and the data directory cannot be written; see to "+
			"its disk", err)
	}
	return err
}

// endFounding saves, once the farm has a second member, that this node must not found it again: without its
// log it would make a second one under the same cluster ID, which the others could not tell from theirs.
func (f *forming) endFounding() {
	if f.inst.Load() == nil || !f.fsm().Shared() {
		return
	}
	if err := f.standing.EndFounding(); err != nil { // the next news tries again
		f.warnOnce("founding", "the data directory cannot be written", err)
	}
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}
