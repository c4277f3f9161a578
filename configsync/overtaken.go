package configsync

import (
	"context"
	"net/http"
)

// Behind reports whether the client of a request has seen what some node showed later than what this one has, and that
// this one would not show it: by a release that is not ready here or, for what the program makes itself, whose
// configuration is not in force here yet. CatchUp ends that, or another node has to answer. It is for Settings.Pins,
// and looks before Handler does: what Handler has given a request does not change. Where nobody claims to have seen
// more it costs little.
func (m *Manager) Behind(r *http.Request) bool { return m.switching.overtaken(r) }

// BehindContent is Behind for what Content serves: files of a release that is ready here are shown before the log
// has come.
func (m *Manager) BehindContent(r *http.Request) bool {
	s := m.switching.now.Load()
	return s.set != nil && s.set.Behind(r)
}

// CatchUp has this node take in what the farm has done up to now, and returns when it has, for the client of a request
// that it is Behind. Who has seen more even then has seen what is lost, as after a backup was put back, and is shown
// what is in force. Behind may be so still, where the release is not ready here. Errors: what kept this node from
// hearing of the others, or ctx's.
func (m *Manager) CatchUp(ctx context.Context, r *http.Request) error {
	if m.settings.Log == nil {
		return nil
	}
	if err := m.settings.Log.Barrier(ctx); err != nil {
		return err
	}
	if s := m.switching.look(); s.problem == nil && s.set != nil {
		s.set.Disown(r)
	}
	return nil
}

// overtaken is Manager.Behind.
func (sw *switching) overtaken(r *http.Request) bool {
	s := sw.now.Load()
	if s.set == nil {
		return false
	}
	release, so := s.set.Overtaken(r)
	return so && release != nameOf(s.release.ID) && s.shared[release] == nil
}
