package cluster

import (
	"context"
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// resets gives a node another Raft instance: as orders say, or by re-forming the farm (reform.go). One
// goroutine carries all out, run; it alone changes base.inst once the node is open. What waits for it has a
// lock of its own, in orders.
type resets struct {
	*base
	orders   orders          // to change the Raft instance
	reforms  chan resetOrder // orders to re-form the farm
	logs     *logs
	start    func(openLog) (*instance, error) // starts Raft on a log
	renamed  func()                           // gossip is to say which incarnation this is now
	farmless func()                           // this node has given up its farm
}

func newResets(b *base, lg *logs) *resets {
	return &resets{base: b, logs: lg, orders: orders{wake: make(chan struct{}, 1)},
		reforms: make(chan resetOrder)}
}

// restart has this node, if it still is that incarnation, start a new Raft instance; a memory node has no log
// to go on with. It returns at once.
func (rs *resets) restart(server string, reason error) {
	kind := restartRaft
	if !rs.durable() {
		kind = forgetLog
	}
	rs.orders.give(resetOrder{server: server, kind: kind, reason: reason})
}

// reset makes this node, if it still is that incarnation, forget votes and log and go on as a new one. It
// returns at once.
func (rs *resets) reset(server string, reason error) {
	rs.orders.give(resetOrder{server: server, kind: forgetLog, reason: reason})
}

// run carries out orders, one after the other.
func (rs *resets) run() {
	for {
		select {
		case o := <-rs.reforms:
			o.reform.done <- rs.obeyReform(o)
		case <-rs.orders.wake:
			for o := rs.orders.next(); o != nil && rs.ctx.Err() == nil; o = rs.orders.next() {
				rs.obey(*o)
			}
			rs.changed.Notify()
		case <-rs.ctx.Done():
			return
		}
	}
}

// obey carries out an order to begin anew, unless that has been done, or one before has failed for good.
func (rs *resets) obey(o resetOrder) {
	in := rs.instance()
	if o.server != in.server || in.end.begun.Load() && rs.failure.get() != nil {
		return
	}
	if rs.fit.err() != nil && !o.mends && o.kind != forgetFarm {
		return // what is left of the log stays where it is
	}
	if o.kind.keepsLog() {
		rs.log.Warn("this node starts its part in Raft anew", "reason", o.reason)
	} else {
		rs.log.Warn("this node forgets its log and joins anew; the old data is moved aside, not deleted",
			"reason", o.reason)
	}
	finished := rs.meters.restarts.begin(o)
	err := rs.replace(o)
	finished(err)
	if err != nil {
		rs.fail(err)
	}
}

func (rs *resets) obeyReform(o resetOrder) error {
	if err := rs.failure.get(); err != nil {
		return err
	}
	if err := rs.fit.err(); err != nil {
		return fmt.Errorf("%w: what this node holds does not count: %w", wire.ErrNotReformed, err)
	}
	if o.server != rs.instance().server {
		return fmt.Errorf("%w: this node has begun anew meanwhile; see what it has now", wire.ErrNotReformed)
	}
	return rs.reform(o.reform)
}

// beginAs makes this node what it is after an order of a kind.
func (rs *resets) beginAs(kind resetKind, farm string) error {
	switch {
	case kind == forgetFarm:
		return rs.standing.GiveUp(farm)
	case kind.keepsLog():
		return rs.standing.Restart()
	}
	return rs.standing.Anew()
}

// replace starts over: with the log, as the next boot of the same incarnation; or without votes and log; or
// without the farm, too, if it is given up for another one, farm. If it was found, while the instance
// stopped, that its log does not count, the instance stays stopped, and mending sees to it.
func (rs *resets) replace(o resetOrder) error {
	kind, farm := o.kind, o.farm
	if err := rs.instance().stop(); err != nil {
		return err
	}
	if rs.dir != nil && !kind.keepsLog() {
		discard := func() error { _, err := rs.dir.Discard(logDir); return err }
		if err := rs.untilFiles(rs.ctx, "moving the log aside", discard); err != nil {
			return err
		}
	}
	begin := func() error { return rs.beginAs(kind, farm) }
	begun := false
	anew := func() (err error) {
		begun, err = rs.fit.anew(kind, o.mends, begin)
		return err
	}
	if err := rs.untilFiles(rs.ctx, "the identity", anew); err != nil || !begun {
		return err
	}
	in, err := rs.startOn(rs.logs.openAgain)
	if err != nil {
		return err
	}
	if kind.hidesState() {
		rs.local.Store(in.fsm)
		rs.progress.reset()
	}
	if kind == forgetFarm {
		rs.farmless()
	}
	rs.renamed()
	rs.changed.Notify()
	return nil
}

// startOn has Raft begin on a log that is opened once no peer is connected to the old one.
func (rs *resets) startOn(open func() (openLog, error)) (*instance, error) {
	rs.peers.DropAll()
	log, err := open()
	if err != nil {
		return nil, err
	}
	in, err := rs.start(log)
	if err != nil {
		return nil, err
	}
	rs.inst.Store(in)
	return in, nil
}

// orderReform has this node re-form the farm, and waits for it. cluster is the cluster ID that the farm must
// have; "" is any.
func (rs *resets) orderReform(ctx context.Context, cluster string, state *replica.State) error {
	server := rs.instance().server // first: with another farm, it is another one
	switch now := rs.self().cluster; {
	case now == "":
		return fmt.Errorf("%w: this node belongs to no farm yet", wire.ErrNotReformed)
	case cluster != "" && cluster != now:
		return fmt.Errorf("%w: it was %s and is %s", errFarmChanged, cluster, now)
	}
	r := &reforming{state: state, done: make(chan error, 1)}
	select {
	case rs.reforms <- resetOrder{server: server, reform: r}:
	case <-rs.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-rs.stopped:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUncertain, ctx.Err())
	}
}
