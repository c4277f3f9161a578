package succession

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Survey is what was found out about a farm without a quorum.
type Survey struct {
	Reports map[string]*Report // by server ID, of those who answered
	Gone    map[string]bool    // server IDs of those who are gone for good
	Led     bool               // somebody refused to stand down, because there is a leader
}

// New returns a survey of which nothing is known yet.
func New() *Survey { return &Survey{Reports: map[string]*Report{}, Gone: map[string]bool{}} }

// Servers returns every server that a report's configuration has.
func (s *Survey) Servers() []string { return s.configured(true) }

// Voters returns every server that a report's configuration has as a voter.
func (s *Survey) Voters() []string { return s.configured(false) }

func (s *Survey) configured(all bool) []string {
	set := map[string]bool{}
	for _, r := range s.Reports {
		for _, id := range r.Voters {
			set[id] = true
		}
		for _, id := range r.Nonvoters {
			if all {
				set[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Left returns the servers without whose word nothing may happen: the voters that are not gone, or, without
// any, the non-voters.
func (s *Survey) Left() []string {
	gone := func(id string) bool { return s.Gone[id] }
	if left := slices.DeleteFunc(s.Voters(), gone); len(left) > 0 {
		return left
	}
	return slices.DeleteFunc(s.Servers(), gone)
}

// Verdict returns nil if the farm may be re-formed, once everybody left has stood down.
func (s *Survey) Verdict() error {
	if s.Led {
		return fmt.Errorf("%w: there is a leader", wire.ErrHasQuorum)
	}
	if len(s.Reports) == 0 {
		return fmt.Errorf("%w: nobody here has the farm's state", wire.ErrNotReformed)
	}
	voters := s.Best().Voters
	if may := s.mayRun(voters); len(may) > len(voters)/2 {
		return fmt.Errorf("%w: of its %d voters, these are not known to be gone: %s", wire.ErrHasQuorum,
			len(voters),
			strings.Join(may, ", "))
	}
	for _, id := range s.Left() {
		if s.Reports[id] == nil {
			return fmt.Errorf("%w: %s votes, does not answer, and may still run", wire.ErrNotReformed, id)
		}
	}
	return nil
}

// mayRun returns those of the voters that are neither gone nor have ended their Raft.
func (s *Survey) mayRun(voters []string) (out []string) {
	for _, id := range voters {
		if r := s.Reports[id]; !s.Gone[id] && (r == nil || !r.Down) {
			out = append(out, id)
		}
	}
	return out
}

// Runs reports whether a quorum answers and can elect.
func (s *Survey) Runs() bool {
	if len(s.Reports) == 0 {
		return false
	}
	voters := s.Best().Voters
	running := slices.DeleteFunc(s.mayRun(voters), func(id string) bool { return s.Reports[id] == nil })
	return len(running) > len(voters)/2
}

// Best returns the report of the one that holds most. There must be one.
func (s *Survey) Best() *Report { return slices.MaxFunc(s.survivors(), Richer) }

// survivors returns the reports in the order of their servers.
func (s *Survey) survivors() (out []*Report) {
	for _, id := range slices.Sorted(maps.Keys(s.Reports)) {
		out = append(out, s.Reports[id])
	}
	return out
}

// Successor returns the server that is to re-form the farm: whoever was promised to be, if it is not gone,
// else the best; if two were, the one that holds more.
func (s *Survey) Successor() string {
	promised := map[string]bool{}
	for _, r := range s.Reports {
		promised[r.Successor] = true
	}
	down := slices.DeleteFunc(s.survivors(), func(r *Report) bool { return !r.Down })
	if to := slices.DeleteFunc(slices.Clone(down),
		func(r *Report) bool { return !promised[r.Server] }); len(to) > 0 {
		down = to
	}
	if len(down) == 0 {
		return ""
	}
	return slices.MaxFunc(down, Richer).Server
}
