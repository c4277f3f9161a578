package cluster

import (
	"sync"
)

// A node carries out one order to change its Raft instance at a time (resets.go, reform.go). None is lost
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
	wake    chan struct{} // holds one: something waits
}

// give has an order wait. One of the same kind and server that waits already stays, unless the new one may do
// more.
func (q *orders) give(o resetOrder) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.waiting[o.kind]; w == nil || w.server != o.server || o.mends || o.farm != w.farm {
		q.waiting[o.kind] = &o
	}
	signal(q.wake)
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
