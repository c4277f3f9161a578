package cluster

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
)

// fitness is what this node's copy of the state is good for: whether it may be read, how old it is, and
// whether what the present incarnation holds counts at all. Its methods ask nobody; they call what they are
// given with mu held.
type fitness struct {
	mu       sync.Mutex
	caughtUp bool        // the gate is open: this node has been a caught-up member, and its copy may be read
	why      *unfit      // why what the present incarnation holds does not count; nil = it does
	resynced disk.Resync // when this node's copy of the state was last found to be wrong

	freshAt atomic.Pointer[time.Time] // see staleness; nil = never; changed under mu
	unfit   chan struct{}             // holds one: why was set
}

// unfit says why what an incarnation holds does not count.
type unfit struct {
	err   error
	kind  resetKind // how the node begins anew: forgetLog, or forgetState if it is the state that is wrong
	final bool      // it does not begin anew, but ends with err
}

// ready reports whether the gate is open.
func (f *fitness) ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.caughtUp
}

// open opens the gate, unless what this node holds does not count, or is about to be given up.
func (f *fitness) open(givenUp func() bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why != nil || givenUp() {
		return false
	}
	f.caughtUp = true
	return true
}

// close closes the gate.
func (f *fitness) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caughtUp = false
}

// hideLocked has nobody read this node's copy any more: it is not ready, and infinitely old.
func (f *fitness) hideLocked() {
	f.caughtUp = false
	f.freshAt.Store(nil)
}

// err returns why what this node holds does not count, nil if it does.
func (f *fitness) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why == nil {
		return nil
	}
	return f.why.err
}

// withdraw notes that what this node holds does not count, and reports whether it does so now: that has not
// been noted before, and still holds for the present incarnation.
func (f *fitness) withdraw(u unfit, still func() bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why != nil || !still() {
		return false
	}
	f.why = &u
	if u.kind.hidesState() {
		f.hideLocked()
	}
	signal(f.unfit)
	return true
}

// look returns why what this node holds does not count, and the instance that holds it: who ends the one puts
// another instance there.
func (f *fitness) look(instance func() *instance) (*unfit, *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.why, instance()
}

// anew has what this node holds count again, as the incarnation that begin makes of it, and reports true. It
// does nothing if that incarnation would keep a log which does not count by now, unless mends.
func (f *fitness) anew(kind resetKind, mends bool, begin func() error) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why != nil && kind.keepsLog() && !mends {
		return false, nil
	}
	f.why = nil
	if kind.hidesState() {
		f.hideLocked()
	}
	return true, begin()
}

// fresh notes that this node has applied everything that was acknowledged before asked.
func (f *fitness) fresh(asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why != nil && f.why.kind.hidesState() {
		return
	}
	if was := f.freshAt.Load(); was == nil || asked.After(*was) {
		f.freshAt.Store(&asked)
	}
}

// staleness takes no lock: every read of a session asks for it.
func (f *fitness) staleness() time.Duration {
	at := f.freshAt.Load()
	if at == nil {
		return math.MaxInt64
	}
	return time.Since(*at)
}

// lastResync returns when this node's copy was last found to be wrong.
func (f *fitness) lastResync() disk.Resync {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resynced
}

// noteResync notes when this node's copy was found to be wrong, once that is saved.
func (f *fitness) noteResync(r disk.Resync, save func(disk.Resync) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := save(r); err != nil {
		return err
	}
	f.resynced = r
	return nil
}
