package configsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// StartCanary has some nodes show a release that is kept, before the others, until it is given up by EndCanary or
// promoted by Activate. There is one canary at a time, and while there is, no other release can be put in
// force. All of the nodes have to be ready. Errors: those of Activate.
func (m *Manager) StartCanary(ctx context.Context, w Write, release uint64, nodes []string, p Plan) (Result, error) {
	if len(nodes) == 0 {
		return Result{}, errors.New("configsync: a canary is for at least one node: say which are to show it")
	}
	if m.settings.Log != nil && m.state().Current().Release == release {
		return Result{}, fmt.Errorf("configsync: release %d is in force, on all nodes; a canary shows another one, "+
			"and farmctl releases lists them", release)
	}
	p.Nodes = nodes
	return m.Activate(ctx, w, release, p)
}

// EndCanary has the nodes of the canary show what is in force again. rollout is Canary.Rollout. Errors:
// ErrEnded, ErrBusy, and those of the log.
func (m *Manager) EndCanary(ctx context.Context, rollout uint64, who, why string) error {
	return m.proposing.take(ctx, state.EndCanary{Rollout: rollout, Who: who, Why: why}.Append(nil))
}

// Canary returns the canary; the zero Canary if there is none.
func (m *Manager) Canary() Canary { return m.state().Canary() }

// namesOf returns the names of members as people read them, sorted.
func namesOf(members []Member) string {
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// areMembers returns an error if a name is no member's.
func (pb *publishing) areMembers(nodes []string) error {
	members := pb.settings.Peers.Members()
	for _, node := range nodes {
		if !slices.ContainsFunc(members, func(m Member) bool { return m.Name == node }) {
			return fmt.Errorf("configsync: %q is no member that serves with this program; there are: %s", node,
				namesOf(members))
		}
	}
	return nil
}
