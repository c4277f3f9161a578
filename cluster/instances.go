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

// advance is told by a Raft instance how far it has applied. Local reads move over to a new instance once it
// is as far as the former one was.
func (n *Node) advance(f *replica.State, index uint64) {
	if n.local.Load() != f {
		if index < n.progress.load() {
			return
		}
		n.local.Store(f)
	}
	n.progress.advance(index)
	if f.Shared() && n.profile.toldSecond.CompareAndSwap(false, true) {
		n.profile.change()
	}
	if level := uint32(f.Level()); n.profile.toldLevel.Load() != level {
		n.profile.toldLevel.Store(level)
		n.profile.change()
		n.changed.notify()
	}
}

// startInstance starts Raft on a log. The log is the instance's from then on, also if that fails.
func startInstance(n *Node, log openLog) (*instance, error) {
	id := n.standing.Identity()
	server := wire.ServerID(id.NodeID, id.Incarnation)
	in := &instance{node: n, server: server, boot: id.Boot, log: n.log, files: log.store,
		made: make(chan struct{}), marks: make(chan replica.Marked, 1), quiet: newEnding(), end: newEnding()}
	in.snapshotNow, in.sighted = make(chan struct{}, 1), make(chan struct{}, 1)
	in.snaps = checkedSnapshots{log.snaps, in}
	in.ctx, in.cancel = context.WithCancel(n.ctx)
	store := n.hooks.wrapStore(raftlog.OnAppend(log.store, in.grown.to))
	if n.durable() {
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
	in.fsm = replica.New(replica.Config{Machines: n.cfg.newMachines, Since: n.cfg.machineLevels(),
		MaxLevel: n.hooks.maxLevel, Applied: in.applied,
		Advanced: func(index uint64) { n.advance(in.fsm, index) }, Restored: in.restored,
		Refused: in.restoreRefused, Marked: in.marked, Halt: in.halted})
	if in.memory, _ = log.snaps.(*raftlog.MemorySnapshots); in.memory != nil {
		in.memory.Serve(in.frozen)
	}
	in.layer = newStreamLayer(n, server)
	in.transport = newTransport(in)
	in.nudger = newNudger(in)
	in.origin = newOriginator(in)
	bound := n.standing.Bound(server) || n.fit.err() != nil
	if bound {
		in.layer.Close() // before Raft could vote
	}
	notify := make(chan bool, 16)
	in.raft, err = raft.NewRaft(in.config(notify), noticingFSM{in.fsm, in}, store, store, in.snaps,
		in.transport)
	close(in.made)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("raft: %w", err), n.Err(), in.stop())
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
