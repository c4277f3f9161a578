package configsync

import (
	"time"
)

// retryRetained is how long after a failure another attempt is made to have a release ready that is not in force.
const retryRetained = time.Minute

// readyRetained makes ready, in the background, the releases that are kept besides the one in force: so that
// clients get what their pages of those need, and a switch to one fetches nothing. What is in force, and a rollout,
// go first.
func (m *Manager) readyRetained() {
	tick := time.NewTicker(retryRetained / 6)
	defer tick.Stop()
	failed := map[digest]time.Time{}
	for {
		news := m.Changed()
		if r, ok := m.lacking(failed); ok && m.makeQuietly(r) != nil {
			failed[m.s.Local().State().Digest(r)] = time.Now()
		} else if ok {
			continue
		}
		select {
		case <-news:
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
	}
}

// idle reports whether nothing more important than a retained release is to be made ready.
func (m *Manager) idle() bool {
	_, running := m.s.Local().State().InProgress()
	return !running && m.Usable() == nil
}

// lacking returns a release that is kept and not ready, unless that has failed a short while ago.
func (m *Manager) lacking(failed map[digest]time.Time) (Release, bool) {
	s := m.s.Local().State()
	if _, running := s.InProgress(); running || !m.idle() {
		return Release{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range s.Retained() {
		d := s.Digest(r)
		if at, ok := failed[d]; ok && time.Since(at) < retryRetained || m.ready[d] != nil {
			continue
		}
		delete(failed, d)
		return r, true
	}
	return Release{}, false
}

// makeQuietly makes a release ready that is not in force, unless something more important comes.
func (m *Manager) makeQuietly(r Release) error {
	ctx, stop := m.while(m.ctx, m.idle)
	defer stop()
	source, quiet := m.s.Local().State(), func(NodeProgress) {}
	st := (*staged)(nil)
	manifest, err := m.bring(ctx, source, r, quiet)
	if err == nil {
		if err := m.lockStaging(ctx); err != nil {
			return err
		}
		defer m.unlockStaging()
		st, err = m.make(ctx, source, r, manifest, quiet)
	}
	if st == nil && ctx.Err() == nil {
		m.log.Debug("a release that is not in force is not ready here; trying again later", "release", r.ID, "err", err)
	}
	if st == nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.switchLocked(true) // whoever shows it learns of it
	return nil
}
