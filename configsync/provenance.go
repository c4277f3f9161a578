package configsync

import (
	"cmp"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Who publishes, or changes something, says who he is, and nobody can check that. What is checked is the credential.

// ReleaseCredential returns the name of the credential by which a release was published; its ID, once the farm has
// forgotten it; "" = it was made by somebody who has the farm's secret.
func (m *Manager) ReleaseCredential(r Release) string { return credentialOf(m.state(), r) }

// EpochCredential returns the name of the credential by which an epoch was put in force, as ReleaseCredential does.
// "" = somebody who has the farm's secret has done so, or the farm has, when it went back by itself; or what is kept
// does not say it any more.
func (m *Manager) EpochCredential(e Epoch) string {
	s := m.state()
	release, ok := s.Release(e.Release)
	all := s.Rollouts()
	i := slices.IndexFunc(all, func(r Rollout) bool { return r.ID == e.Rollout && r.Epoch == e.Number })
	if !ok || i < 0 || all[i].Key != release.Key { // a release that was kept is put in force by another write
		return ""
	}
	return credentialOf(s, release)
}

func credentialOf(s *state.State, r Release) string { return cmp.Or(publisherOf(s, r), r.Publisher) }
