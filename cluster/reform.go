package cluster

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/standing"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Re-forming makes one node the only voter of the farm's next epoch, with a state of its choice: what its own
// log holds, if the farm has lost its quorum for good (survey.go), or a backup. Everybody else gives up what
// they have, by the rule of epochs, and joins. The new log begins with a snapshot; on disk it is made beside
// the old one. The identity that is saved after that names which of the two counts. So a crash leaves the old
// farm or the new one.

// reforming is an order to re-form the farm on this node.
type reforming struct {
	state *replica.State // nil = what this node's own log holds
	done  chan error
}

// detachedState returns a state that no Raft instance works with. If that halts, the error is put where
// halted points to.
func (b *base) detachedState() (f *replica.State, halted *error) {
	halted = new(error)
	f = replica.New(replica.Config{Machines: b.cfg.newMachines, Since: b.cfg.machineLevels(),
		MaxLevel: b.hooks.maxLevel,
		Halt:     func(err error) { *halted = err }})
	return f, halted
}

// reform carries out an order. If it fails, a durable node goes on as before; in memory mode it keeps what it
// has, but has stopped its part in Raft.
func (rs *resets) reform(r *reforming) error {
	if !rs.standing.BeginReform() {
		return fmt.Errorf("%w: this node has just given up waiting for it; try again", wire.ErrNotReformed)
	}
	defer rs.standing.EndReform()
	old := rs.instance()
	cluster := nextEpoch(rs.self().cluster)
	inc := standing.NewID()
	err := old.standDown()
	if err == nil {
		err = rs.prepareLog(old, r.state, wire.ServerID(rs.id, inc), inc)
	}
	if err == nil {
		err = rs.standing.Succeed(cluster, inc, r.state == nil)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", wire.ErrNotReformed, errors.Join(err, rs.undoReform(inc)))
	}
	rs.log.Warn("this node re-forms the farm; the other members give up their state and join it", "cluster",
		cluster)
	err = rs.switchOver(old)
	if err != nil {
		rs.fail(err)
	}
	return err
}

// undoReform puts a durable node back to work on its log, and moves the log that was made for inc aside. If
// that fails, it does no harm where it is.
func (rs *resets) undoReform(inc string) error {
	if !rs.durable() || rs.ctx.Err() != nil {
		return nil
	}
	_, err := rs.dir.Discard(newLogDir(inc))
	if failed := rs.replace(resetOrder{kind: restartRaft}); failed != nil {
		rs.fail(failed)
		return errors.Join(err, failed)
	}
	return err
}

// prepareLog makes the log that the next epoch begins with.
func (rs *resets) prepareLog(old *instance, state *replica.State, server, inc string) error {
	term, index, err := old.storage.lastEntry()
	if err != nil {
		return err
	}
	if state == nil {
		if state, err = old.storage.replay(index); err != nil {
			return err
		}
	}
	log, err := rs.logs.makeNew(inc)
	if err != nil {
		return err
	}
	state.Raise(old.fsm.Level())
	s, index := state.Rebase(index, replica.SoleVoter(server))
	return errors.Join(log.seed(s, term, index, server, old.transport), rs.logs.keepNew(log))
}

// switchOver starts Raft on the new log.
func (rs *resets) switchOver(old *instance) error {
	if err := old.stop(); err != nil {
		return err
	}
	if _, err := rs.startOn(rs.logs.takeNext); err != nil {
		return err
	}
	rs.renamed()
	rs.changed.Notify()
	return nil
}

// seed makes l the log of a farm whose only voter is server, and whose state is s.
func (l openLog) seed(s *replica.Snapshot, term, index uint64, server string, t raft.Transport) error {
	sink, err := l.snaps.Create(raft.SnapshotVersionMax, index, term, replica.SoleVoter(server), index, t)
	if err != nil {
		return err
	}
	if err := s.Persist(sink); err != nil {
		return err
	}
	return l.store.SetUint64([]byte("CurrentTerm"), term) // raft's own key
}
