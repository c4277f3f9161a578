package cluster

import (
	"context"
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
	in := &instance{node: is, server: server, boot: id.Boot, log: is.log, files: log.store,
		made: make(chan struct{}), marks: make(chan replica.Marked, 1), quiet: newEnding(), end: newEnding()}
	in.snapshotNow, in.sighted = make(chan struct{}, 1), make(chan struct{}, 1)
	in.snaps = checkedSnapshots{log.snaps, in}
	in.ctx, in.cancel = context.WithCancel(is.ctx)
	store := is.hooks.wrapStore(raftlog.OnAppend(log.store, in.grown.to))
	if is.durable() {
		store = watchedStore{store, in}
	}
	in.kept = raftlog.Keep(store, in.needed)
	store = strictStore{in.kept, in}
	in.store = store
	last, err := store.LastIndex()
	if err == nil {
		err = in.findStateSize()
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	in.grown.to(last)
	in.fsm = replica.New(replica.Config{Machines: is.cfg.newMachines, Since: is.cfg.machineLevels(),
		MaxLevel: is.hooks.maxLevel, Applied: in.applied,
		Advanced: func(index uint64) { is.advance(in.fsm, index) }, Restored: in.restored,
		Refused: in.restoreRefused, Marked: in.marked, Halt: in.halted})
	if in.memory, _ = log.snaps.(*raftlog.MemorySnapshots); in.memory != nil {
		in.memory.Serve(in.frozen)
	}
	in.layer = newStreamLayer(is.connections, server)
	in.transport = newTransport(in)
	in.nudger = newNudger(in)
	in.origin = newOriginator(in)
	bound := is.standing.Bound(server) || is.fit.err() != nil
	if bound {
		in.layer.Close() // before Raft could vote
	}
	notify := make(chan bool, 16)
	in.raft, err = raft.NewRaft(in.config(notify), noticingFSM{in.fsm, in}, store, store, in.snaps,
		in.transport)
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
	in.electSole()
	return in, nil
}
