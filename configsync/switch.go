package configsync

import (
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// look returns the snapshot of what is in force, for a request.
func (m *Manager) look() *snapshot { return m.used(m.settled()) }

// glance is look for what is no request: a hook that commits, which is waited for, sees what is in use until then.
func (m *Manager) glance() *snapshot {
	if m.committing.Load() {
		return m.now.Load()
	}
	return m.settled()
}

// used returns a snapshot that somebody uses.
func (m *Manager) used(s *snapshot) *snapshot {
	if m.begun.Load() == nil {
		m.begun.CompareAndSwap(nil, &start{s.use, s.staged.values, false})
	}
	return s
}

// settled is refresh, and waits a while if this node is only just making itself ready for what is in force.
func (m *Manager) settled() *snapshot {
	s := m.refresh()
	if !s.pending() {
		return s
	}
	over := time.NewTimer(time.Until(s.patience))
	defer over.Stop()
	for s.pending() {
		select {
		case <-s.replaced:
		case <-over.C:
			return s
		case <-m.ctx.Done():
			return s
		}
		s = m.refresh()
	}
	return s
}

// How long requests wait for a node that makes itself ready for what is in force: if it has all it needs, and
// if it has to fetch something first.
const (
	patienceHere  = codeTime
	patienceFetch = 250 * time.Millisecond
)

// refresh returns the snapshot of what is in force. If that is ready here it is switched to, which is all that
// is done: nobody waits for more than a pointer, and hooks that commit.
func (m *Manager) refresh() *snapshot {
	source := m.s.Local().State()
	if s := m.now.Load(); s.source == source {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.switchLocked(false)
}

// switchLocked makes the snapshot for what is in force. again says that something has become ready, or has
// failed to.
func (m *Manager) switchLocked(again bool) *snapshot {
	source, old := m.s.Local().State(), m.now.Load() // there may be a newer one by now
	if old.source == source && !again {
		return old
	}
	to := useOf(source, m.s.Node)
	want := source.Digest(to.release)
	m.settlePreparedLocked(source, want)
	next := (*snapshot)(nil)
	st := m.ready[want]
	switch {
	case want == old.staged.digest:
		next = newSnapshot(source, old.staged, to, nil) // the same under another number, or no change at all
	case st != nil && st.wrong != nil:
		next = m.unusableLocked(old, source, st)
	case st == nil || !m.commitLocked(old, st):
		next = m.behindLocked(old, source, want, !to.release.Content.Root.IsZero())
	default:
		next = newSnapshot(source, st, to, nil)
	}
	if next.problem == nil && to != old.use {
		m.log.Info("switched", "epoch", to.epoch, "release", to.release.ID, "canary", to.canary,
			"who", source.Current().Who, "why", source.Current().Why)
	}
	next.set = m.setLocked(source, next)
	m.now.Store(next)
	m.settlePreparedLocked(source, want)
	m.pruneLocked(source, next)
	close(old.replaced)
	m.tell()
	return next
}

// behindLocked returns the snapshot for as long as what is in force is not ready, and has it made so.
func (m *Manager) behindLocked(old *snapshot, source *state.State, want digest, fetches bool) *snapshot {
	next := newSnapshot(source, old.staged, old.use, ErrBehind)
	next.wants, next.patience = want, time.Now().Add(patienceHere)
	if fetches {
		next.patience = time.Now().Add(patienceFetch)
	}
	if old.problem != nil && old.wants == want { // that has been going on for a while
		next.patience = old.patience
	}
	if m.failed != nil && m.failed.want == want {
		next.problem = m.failed
	}
	select {
	case m.late <- struct{}{}:
	default:
	}
	return next
}

// unusableLocked returns the snapshot for as long as what is in force is nothing that this program can use.
func (m *Manager) unusableLocked(old *snapshot, source *state.State, st *staged) *snapshot {
	release, _ := source.For(m.s.Node)
	next := newSnapshot(source, old.staged, old.use, &unusable{source.Current().Number, release.ID, st.wrong})
	next.wants = st.digest
	if old.problem == nil || old.wants != st.digest {
		m.log.Error("this program cannot use what is in force, and is not ready; is it older than that?",
			"epoch", source.Current().Number, "keeps", old.epoch, "err", st.wrong)
	}
	return next
}

// unusable says that this program can never use what is in force.
type unusable struct {
	epoch, release uint64
	err            error
}

func (u *unusable) Error() string {
	return fmt.Sprintf("this program cannot use release %d, which is in force since epoch %d: %v", u.release, u.epoch,
		u.err)
}

func (u *unusable) Unwrap() error { return u.err }
