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

// Authority is by what right an epoch was put in force.
type Authority string

// By what right an epoch can be put in force.
const (
	ByCredential Authority = "credential"
	BySecret     Authority = "secret"  // that of the farm: by an operator
	ByReturn     Authority = "return"  // the farm went back to it, by itself or since an operator has ended the rollout
	ByUnknown    Authority = "unknown" // what is kept does not say it any more
)

// EpochAuthority returns by what right an epoch was put in force, and with ByCredential the name of the credential, as
// ReleaseCredential does.
func (m *Manager) EpochAuthority(e Epoch) (by Authority, credential string) {
	s := m.state()
	release, ok := s.Release(e.Release)
	all := s.Rollouts()
	i := slices.IndexFunc(all, func(r Rollout) bool { return r.ID == e.Rollout })
	switch {
	case i < 0:
		return ByUnknown, ""
	case all[i].Epoch != e.Number:
		return ByReturn, ""
	case !ok:
		return ByUnknown, ""
	case all[i].Key != release.Key: // a release that was kept is put in force by another write, which takes the secret
		return BySecret, ""
	}
	if credential = credentialOf(s, release); credential != "" {
		return ByCredential, credential
	}
	return BySecret, ""
}

func credentialOf(s *state.State, r Release) string { return cmp.Or(publisherOf(s, r), r.Publisher) }
