package configsync

import (
	"errors"
	"fmt"
	"time"
)

// How long after a failure this node tries again to become ready for what is in force.
const (
	againFirst = time.Second
	againLast  = 10 * time.Second
)

// catchUp makes this node ready for what is in force whenever it is not.
func (m *Manager) catchUp() {
	again := againFirst
	for {
		select {
		case <-m.late:
		case <-m.ctx.Done():
			return
		}
		if m.catchUpOnce() {
			again = againFirst
			continue
		}
		select {
		case <-time.After(again):
		case <-m.ctx.Done():
			return
		}
		again = min(2*again, againLast)
		select {
		case m.late <- struct{}{}:
		default:
		}
	}
}

// catchUpOnce reports whether there is nothing more to be done.
func (m *Manager) catchUpOnce() bool {
	source := m.s.Local().State()
	r, canary := source.For(m.s.Node)
	want := source.Digest(r)
	ctx, cancel := m.while(m.ctx, func() bool {
		now := m.s.Local().State()
		r, c := now.For(m.s.Node)
		return c == canary && now.Digest(r) == want
	})
	defer cancel()
	quiet := func(NodeProgress) {}
	st := (*staged)(nil)
	manifest, err := m.bring(ctx, source, r, quiet)
	if err == nil {
		if m.lockStaging(ctx) != nil {
			return true
		}
		defer m.unlockStaging()
		st, err = m.make(ctx, source, r, manifest, quiet)
	}
	if err == nil {
		err = m.prepare(ctx, st, 0)
	}
	if ctx.Err() != nil || errors.Is(err, ErrEnded) {
		return true // something else is in force by now, and has been said so
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	never := st != nil && st.wrong != nil
	if m.failed = nil; err != nil && !never {
		m.failed = &failure{want, source.Current().Number, r.ID, err}
		m.log.Error("not ready for what is in force; trying again", "release", r.ID, "err", err)
	}
	m.switchLocked(true)
	return err == nil || never
}

// failure is an attempt to become ready that did not succeed; another follows.
type failure struct {
	want           digest
	epoch, release uint64
	err            error
}

func (f *failure) Error() string {
	return fmt.Sprintf("%v, which is release %d of epoch %d: %v", ErrBehind, f.release, f.epoch, f.err)
}

func (f *failure) Unwrap() []error { return []error{ErrBehind, f.err} }
