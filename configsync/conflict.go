package configsync

import (
	"cmp"
	"fmt"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Conflict returns ErrConflict, and says who has put in force what is, for a writer who has looked at an epoch.
func (m *Manager) Conflict(looked uint64) error { return conflict(m.state(), looked) }

// conflict is Manager.Conflict.
func conflict(s *state.State, looked uint64) error {
	e := s.Current()
	if e.Number == 0 {
		return fmt.Errorf("%w: that was epoch %d, and nothing is in force", ErrConflict, looked)
	}
	why := ""
	if e.Why != "" {
		why = fmt.Sprintf(" (%q)", e.Why)
	}
	return fmt.Errorf("%w: that was epoch %d, and epoch %d is in force, with release %d by %s%s; look at what has changed "+
		"(farmctl releases, farmctl config diff), and decide again", ErrConflict, looked, e.Number, e.Release,
		cmp.Or(e.Who, "somebody"), why)
}
