package cluster

import (
	"fmt"
	"sync"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A node carries out one order to change its Raft instance at a time (replaceInstance, reform). None is lost
// because another one waits: whoever gave it may have closed the gate already, or have stopped Raft, and then
// nothing else would open or start it again.

// resetOrder says that an incarnation must forget its votes and log, and perhaps its farm.
type resetOrder struct {
	server string
	kind   resetKind
	farm   string // cluster ID to go over to, with forgetFarm; "" = whichever takes this node in
	reason error
	// what the incarnation holds does not count, and this order is what becomes of it; see unfit
	mends  bool
	reform *reforming // instead of kind
}

type resetKind int

// The kinds of orders. A later one does all that an earlier one does, and more.
const (
	restartRaft  resetKind = iota // on the same log
	rebuildState                  // on the same log, and nobody is to read the state that was
	forgetLog
	forgetState // and the log: it is wrong, and nobody is to read it any more
	forgetFarm  // and the log

	resetKinds = iota
)

// keepsLog reports whether the incarnation goes on, with its log.
func (k resetKind) keepsLog() bool { return k == restartRaft || k == rebuildState }

// hidesState reports whether the state that was is not to be read any more.
func (k resetKind) hidesState() bool { return k == rebuildState || k == forgetState || k == forgetFarm }

// orders are those that wait, and the one that is carried out. At most one of each kind waits: a second one
// would do the same.
type orders struct {
	mu      sync.Mutex
	waiting [resetKinds]*resetOrder
	doing   *resetOrder
	news    chan struct{} // holds one: something waits
}

// give has an order wait. One of the same kind and server that waits already stays, unless the new one may do
// more.
func (q *orders) give(o resetOrder) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.waiting[o.kind]; w == nil || w.server != o.server || o.mends || o.farm != w.farm {
		q.waiting[o.kind] = &o
	}
	signal(q.news)
}

// next takes the order that does most; nil if none waits. Until the next call it counts as being carried out.
func (q *orders) next() *resetOrder {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.doing = nil
	for k := len(q.waiting) - 1; k >= 0 && q.doing == nil; k-- {
		q.doing, q.waiting[k] = q.waiting[k], nil
	}
	return q.doing
}

// hiding reports whether an order waits, or is carried out, after which nobody is to read the present state.
func (q *orders) hiding() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range append(q.waiting[:], q.doing) {
		if o != nil && o.kind.hidesState() {
			return true
		}
	}
	return false
}

// restart has this node, if it still is that incarnation, start a new Raft instance; a memory node has no log
// to go on with. It returns at once.
func (n *Node) restart(server string, reason error) {
	kind := restartRaft
	if !n.durable() {
		kind = forgetLog
	}
	n.orders.give(resetOrder{server: server, kind: kind, reason: reason})
}

// reset makes this node, if it still is that incarnation, forget votes and log and go on as a new one. It
// returns at once.
func (n *Node) reset(server string, reason error) {
	n.orders.give(resetOrder{server: server, kind: forgetLog, reason: reason})
}

// resetOnDemand carries out orders, one after the other.
func (n *Node) resetOnDemand() {
	for {
		select {
		case o := <-n.reforms:
			o.reform.done <- n.obeyReform(o)
		case <-n.orders.news:
			for o := n.orders.next(); o != nil && n.ctx.Err() == nil; o = n.orders.next() {
				n.obey(*o)
			}
			n.changed.notify()
		case <-n.ctx.Done():
			return
		}
	}
}

// obey carries out an order to begin anew, unless that has been done, or one before has failed for good.
func (n *Node) obey(o resetOrder) {
	in := n.instance()
	if o.server != in.server || in.end.begun.Load() && n.Err() != nil {
		return
	}
	if n.fit.err() != nil && !o.mends && o.kind != forgetFarm {
		return // what is left of the log stays where it is
	}
	if o.kind.keepsLog() {
		n.log.Warn("this node starts its part in Raft anew", "reason", o.reason)
	} else {
		n.log.Warn("this node forgets its log and joins anew; the old data is moved aside, not deleted",
			"reason", o.reason)
	}
	finished := n.meters.restarts.begin(o)
	err := n.replaceInstance(o)
	finished(err)
	if err != nil {
		n.fail(err)
	}
}

func (n *Node) obeyReform(o resetOrder) error {
	if err := n.Err(); err != nil {
		return err
	}
	if err := n.fit.err(); err != nil {
		return fmt.Errorf("%w: what this node holds does not count: %w", wire.ErrNotReformed, err)
	}
	if o.server != n.instance().server {
		return fmt.Errorf("%w: this node has begun anew meanwhile; see what it has now", wire.ErrNotReformed)
	}
	return n.reform(o.reform)
}
