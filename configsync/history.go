package configsync

import (
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

func inForce(s *state.State) Files { return filesOf(s, s.Current().Revision) }

func filesOf(s *state.State, revision uint64) Files {
	files := Files{}
	for _, f := range s.Files(revision) {
		files[f.Path] = f.Text
	}
	return files
}

// Epochs returns the epochs that are kept, up to 50, the newest last.
func (m *Manager) Epochs() []Epoch { return m.state().Epochs() }

// Files returns the files of an epoch that is kept, and the epoch; 0 = the one in force. The error is
// ErrNoEpoch.
func (m *Manager) Files(number uint64) (Files, Epoch, error) {
	s := m.state()
	e, ok := s.Epoch(number)
	if number == 0 {
		e, ok = s.Current(), true
	}
	if !ok {
		return nil, Epoch{}, noEpoch(number)
	}
	return filesOf(s, e.Revision), e, nil
}

// Rollouts returns the rollouts that are kept, up to 50, the newest last.
func (m *Manager) Rollouts() []Rollout { return m.state().Rollouts() }

// Releases returns the releases that are kept, the newest last: 50, and more if they are needed.
func (m *Manager) Releases() []Release { return m.state().Releases() }
