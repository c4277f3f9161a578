package cluster

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// instances starts Raft instances, one after the other. It is what an instance has of its node.
type instances struct {
	*base
	members     *members
	leveling    *leveling
	joining     *joining
	mending     *mending
	profile     *profile
	resets      *resets
	connections *connections

	lastLed lastLed
}

// advance is told by a Raft instance how far it has applied. Local reads move over to a new instance once it
// is as far as the former one was.
func (is *instances) advance(f *replica.State, index uint64) {
	if is.local.Load() != f {
		if index < is.progress.load() {
			return
		}
		is.local.Store(f)
	}
	is.progress.advance(index)
	is.profile.follow(f)
}

// start starts Raft on a log. The log is the instance's from then on, also if that fails.
func (is *instances) start(log openLog) (*instance, error) {
	id := is.standing.Identity()
	server := wire.ServerID(id.NodeID, id.Incarnation)
	in := newInstance(is, server, id.Boot)
	in.storage.files, in.storage.snaps = log.store, checkedSnapshots{log.snaps, in.snapshotting}
	store := is.hooks.wrapStore(raftlog.OnAppend(log.store, in.grown.to))
	if is.durable() {
		store = watchedStore{store, in.stalls}
	}
	in.storage.kept = raftlog.Keep(store, in.snapshotting.needed)
	store = strictStore{in.storage.kept, in.breakage}
	in.storage.store = store
	last, err := store.LastIndex()
	if err == nil {
		err = in.snapshotting.findStateSize()
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	in.grown.to(last)
	in.fsm = replica.New(replica.Config{Machines: is.cfg.newMachines, Since: is.cfg.machineLevels(),
		MaxLevel: is.hooks.maxLevel, Applied: in.restoring.applied,
		Advanced: func(index uint64) { is.advance(in.fsm, index) }, Restored: in.restoring.restored,
		Refused: in.restoring.refusedState, Marked: in.witness.marked, Halt: in.halt})
	if in.storage.memory, _ = log.snaps.(*raftlog.MemorySnapshots); in.storage.memory != nil {
		in.storage.memory.Serve(in.storage.frozen)
	}
	in.layer = newStreamLayer(is.connections, server)
	in.transport = newTransport(in)
	in.nudger = newNudger(in.core, in.transport)
	in.origin = newOriginator(in.core, in.leading, in.nudger)
	bound := is.standing.Bound(server) || is.fit.err() != nil
	if bound {
		in.layer.Close() // before Raft could vote
	}
	notify := make(chan bool, 16)
	in.raft, err = raft.NewRaft(in.tuner.config(notify), noticingFSM{in.fsm, in.leading}, store, store,
		in.storage.snaps, in.transport)
	close(in.made)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("raft: %w", err), is.failure.get(), in.stop())
	}
	in.start(notify)
	if bound {
		if err := in.standDown(); err != nil {
			return nil, errors.Join(err, in.stop())
		}
		return in, nil
	}
	in.tuner.electSole()
	return in, nil
}
