package configsync

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Usable returns nil if this node uses what is in force for it, and else why not, or not yet. A node that does
// not must not answer anybody: it would show what is no longer in force. It comes after by itself. Usable does
// not wait.
func (m *Manager) Usable() error { return m.usability.problem() }

// usability says whether this node uses what is in force.
type usability struct {
	*base
	switching *switching
	seen      atomic.Pointer[evidence]
}

// problem is Manager.Usable.
func (us *usability) problem() error {
	_, err := us.look()
	return err
}

// look is problem, and returns the snapshot that it is about: a second look may be at another one.
func (us *usability) look() (*snapshot, error) {
	s := us.switching.now.Load()
	if !us.switching.committing.Load() {
		s = us.switching.refresh()
	}
	if e := us.seen.Load(); e != nil && e.epoch > s.source.Current().Number && time.Since(e.at) < evidenceTime {
		return s, fmt.Errorf("%w: another node has shown epoch %d", ErrBehind, e.epoch)
	}
	return s, s.problem
}

// evidence is an epoch that somebody has shown to be in force.
type evidence struct {
	epoch uint64
	at    time.Time
}

// evidenceTime is how long what was seen counts: who is in touch with others sees it again and again. If the
// farm was put back to a backup, its epochs may be lower than they were.
const evidenceTime = 10 * time.Second

// Saw tells that another node, or a cookie that a node has signed, says that an epoch is in force. Until this
// node knows of it, it is not Usable, unless nobody speaks of it any more for 10 s.
func (m *Manager) Saw(epoch uint64) { m.usability.saw(epoch) }

// saw is Manager.Saw.
func (us *usability) saw(epoch uint64) {
	for noted := false; !noted; {
		e := us.seen.Load()
		newer := e != nil && e.epoch > epoch && time.Since(e.at) < evidenceTime
		if newer || epoch <= us.switching.now.Load().source.Current().Number {
			return
		}
		noted = us.seen.CompareAndSwap(e, &evidence{epoch, time.Now()}) // else others have noted something meanwhile
	}
	us.tell()
	time.AfterFunc(evidenceTime, us.tell) // who waits looks again
}

// AwaitUsable returns nil when this node uses what is in force, or ctx's error.
func (m *Manager) AwaitUsable(ctx context.Context) error { return m.usability.awaitUse(ctx) }

// awaitUse is Manager.AwaitUsable.
func (us *usability) awaitUse(ctx context.Context) error {
	return us.await(ctx, func() bool { return us.problem() == nil })
}
