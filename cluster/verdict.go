package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// survey is what was found out about a farm without a quorum.
type survey struct {
	reports map[string]*report // by server ID, of those who answered
	gone    map[string]bool    // server IDs of those who are gone for good
	led     bool               // somebody refused to stand down, because there is a leader
}

// known returns every server that a report's configuration has as a voter, or, if not voters, at all.
func (s *survey) known(voters bool) []string {
	set := map[string]bool{}
	for _, r := range s.reports {
		for _, id := range r.voters {
			set[id] = true
		}
		for _, id := range r.nonvoters {
			if !voters {
				set[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// left returns the servers without whose word nothing may happen: the voters that are not gone, or, without any, the
// non-voters.
func (s *survey) left() []string {
	gone := func(id string) bool { return s.gone[id] }
	if left := slices.DeleteFunc(s.known(true), gone); len(left) > 0 {
		return left
	}
	return slices.DeleteFunc(s.known(false), gone)
}

// newSurvey returns a survey of which nothing is known yet.
func newSurvey() *survey { return &survey{reports: map[string]*report{}, gone: map[string]bool{}} }

// verdict returns nil if the farm may be re-formed, once everybody left has stood down.
func (s *survey) verdict() error {
	if s.led {
		return fmt.Errorf("%w: there is a leader", wire.ErrHasQuorum)
	}
	if len(s.reports) == 0 {
		return fmt.Errorf("%w: nobody here has the farm's state", wire.ErrNotReformed)
	}
	voters := s.best().voters
	if may := s.mayRun(voters); len(may) > len(voters)/2 {
		return fmt.Errorf("%w: of its %d voters, these are not known to be gone: %s", wire.ErrHasQuorum, len(voters),
			strings.Join(may, ", "))
	}
	for _, id := range s.left() {
		if s.reports[id] == nil {
			return fmt.Errorf("%w: %s votes, does not answer, and may still run", wire.ErrNotReformed, id)
		}
	}
	return nil
}

// mayRun returns those of the voters that are neither gone nor have ended their Raft.
func (s *survey) mayRun(voters []string) (out []string) {
	for _, id := range voters {
		if r := s.reports[id]; !s.gone[id] && (r == nil || !r.down) {
			out = append(out, id)
		}
	}
	return out
}

// runs reports whether a quorum answers and can elect.
func (s *survey) runs() bool {
	if len(s.reports) == 0 {
		return false
	}
	voters := s.best().voters
	running := slices.DeleteFunc(s.mayRun(voters), func(id string) bool { return s.reports[id] == nil })
	return len(running) > len(voters)/2
}

// best returns the report of the one that holds most. There must be one.
func (s *survey) best() *report { return slices.MaxFunc(s.survivors(), richer) }

// survivors returns the reports in the order of their servers.
func (s *survey) survivors() (out []*report) {
	for _, id := range slices.Sorted(maps.Keys(s.reports)) {
		out = append(out, s.reports[id])
	}
	return out
}

// heir returns the server that is to re-form the farm: whoever was promised to be, if it is not gone, else the best; if two
// were, the one that holds more.
func (s *survey) heir() string {
	promised := map[string]bool{}
	for _, r := range s.reports {
		promised[r.successor] = true
	}
	down := slices.DeleteFunc(s.survivors(), func(r *report) bool { return !r.down })
	if to := slices.DeleteFunc(slices.Clone(down), func(r *report) bool { return !promised[r.server] }); len(to) > 0 {
		down = to
	}
	if len(down) == 0 {
		return ""
	}
	return slices.MaxFunc(down, richer).server
}
