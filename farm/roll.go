package farm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/rolling"
)

const (
	// steady is for how long the farm has to be able to do without a node before that is restarted: what a node
	// that was restarted before does with its new values shows, and a node that has just come to lead has heard by
	// then who is being restarted.
	steady = 10 * time.Second

	// rollPatience is how long a node may take to drain and to come back until that is a fault.
	rollPatience = 5 * time.Minute
)

// roll restarts the nodes that have to be, one after the other, by the rules of package rolling. It keeps nothing that
// another node which comes to lead would need: who still has to be restarted is what the nodes say themselves, and the
// farm as it is says whether one of them is away.
type roll struct {
	f      *Farm
	next   string       // NodeID of the one whose turn it is
	spared time.Time    // since when the farm can do without it; zero = it cannot
	asked  *askedToRoll // it was asked to restart, and is not back
	said   string       // why nothing is done, as it was logged
	saidAt time.Time
}

// askedToRoll is a member that was asked to restart, as it was before.
type askedToRoll struct {
	member admin.Member
	due    dueRestart
	voters int // that lived
	at     time.Time
}

// rollRestarts restarts nodes for as long as this node leads, until Close.
func (f *Farm) rollRestarts() {
	tick := time.NewTicker(restartTick)
	defer tick.Stop()
	r := &roll{f: f}
	for {
		select {
		case <-tick.C:
		case <-f.done.Done():
			return
		}
		if !r.sought() {
			r = &roll{f: f}
			continue
		}
		ctx, cancel := context.WithTimeout(f.done, rollPatience)
		r.step(ctx, f.node.Overview(ctx))
		cancel()
	}
}

// sought reports whether there is something for this node to do.
func (r *roll) sought() bool {
	f := r.f
	if !(peers{f}).Leads() || f.rolloutRuns() {
		return false
	}
	return r.asked != nil || slices.ContainsFunc(restartsDue(f.node.State()), func(n order.NodeRestart) bool {
		return n.How == order.RestartRolling
	})
}

// step does what can be done now for a farm that is like this.
func (r *roll) step(ctx context.Context, farm admin.Farm) {
	if r.asked != nil && !r.returned(farm) {
		return
	}
	m, due, err := r.choose(farm)
	if err != nil {
		r.wait(m, due, err)
		return
	}
	if m.ID == "" {
		return
	}
	if r.spared.IsZero() || r.next != m.ID {
		r.next, r.spared = m.ID, time.Now()
	}
	if time.Since(r.spared) < steady {
		return
	}
	if err := r.restartedWell(ctx, farm, due); err != nil {
		r.wait(m, due, err)
		return
	}
	r.f.log.Info("a node is restarted, for fields that need that", "member", m.Name, "rollout", due.rollout)
	_, voters := farm.Voters()
	r.spared = time.Time{}
	if err := (peers{r.f}).askRestart(ctx, m.Name, due.rollout); err != nil {
		r.f.log.Warn("a node was to be restarted", "member", m.Name, "rollout", due.rollout, "err", err)
		return
	}
	r.asked, r.said = &askedToRoll{m, due, voters, time.Now()}, ""
}

// wait notes that a member cannot be restarted now, and says why.
func (r *roll) wait(m admin.Member, due dueRestart, why error) {
	r.spared = time.Time{}
	if text := why.Error(); text != r.said && time.Since(r.saidAt) >= steady { // it may tell how far a node is behind
		r.said, r.saidAt = text, time.Now()
		r.f.log.Warn("a node waits for its restart", "member", m.Name, "rollout", due.rollout, "why", text,
			"advice", "mend that, or take the change back: farmctl rollback; or restart the nodes yourself: farmctl restart")
	}
}

// restartedWell says why the members that have begun with what is in force are not well by their self-check; nil if they
// are. Before they were restarted the new values had no effect, so that nobody could tell.
func (r *roll) restartedWell(ctx context.Context, farm admin.Farm, due dueRestart) error {
	p, err := r.f.configs.Rollout(due.rollout)
	if err != nil || p.Rollout.Plan.Confirm == 0 {
		return nil
	}
	for _, m := range farm.Members {
		if _, old := dueOf(m.Tags); old || m.Status != admin.Alive || m.Leaving || m.Tags[tagReleases] == "" {
			continue
		}
		h, err := peers{r.f}.Confirm(ctx, m.Name, due.rollout)
		switch {
		case err != nil:
			return fmt.Errorf("%s does not say whether it is well: %w", m.Name, err)
		case h.Unwell != "":
			return fmt.Errorf("%s is not well with the new values: %s", m.Name, h.Unwell)
		}
	}
	return nil
}

// returned reports whether the member that was asked to restart is back. Until it is, nobody else is restarted.
func (r *roll) returned(farm admin.Farm) bool {
	a := r.asked
	missing := a.missing(farm)
	took := time.Since(a.at).Round(time.Millisecond)
	if missing == "" {
		r.f.log.Info("a node is back after its restart", "member", a.member.Name, "after", took)
		r.asked, r.said = nil, ""
		return true
	}
	if took > rollPatience && r.said == "" {
		r.said = missing
		r.f.log.Error("a node was restarted for a change of the configuration, and is not back; nothing else is "+
			"restarted until it is", "member", a.member.Name, "rollout", a.due.rollout, "missing", missing, "after", took,
			"advice", "look at its log; farmctl rollback takes the change back")
	}
	return false
}

// missing says in a few words what is missing before the member counts as back; "" if nothing.
func (a *askedToRoll) missing(farm admin.Farm) string {
	before, voters := a.member, a.voters
	listed := false
	for _, m := range farm.Members {
		listed = listed || m.Name == before.Name
		if m.Name == before.Name && m.Status == admin.Alive && !a.due.of(m) {
			before.Started = time.Time{} // whatever its clock says: the old process did not say that any more
		}
	}
	if farm.Durable && a.voters > 2 { // where a member goes only if an operator says so
		if !listed {
			return ""
		}
		configured, _ := farm.Voters()
		voters = min(voters, configured)
	}
	return rolling.Back(farm, before, voters)
}

// of reports whether a member says this of itself.
func (d dueRestart) of(m admin.Member) bool {
	now, ok := dueOf(m.Tags)
	return ok && now.rollout == d.rollout
}

// choose returns the member whose turn it is: the first that the farm can do without, and the leader comes last. With
// an error the farm can do without none of them, and that is why not without the first. The zero Member: nobody is to
// be restarted.
func (r *roll) choose(farm admin.Farm) (first admin.Member, due dueRestart, err error) {
	for _, m := range rolling.Order(farm) {
		d, ok := dueOf(m.Tags)
		if !ok || d.how != order.RestartRolling {
			continue
		}
		why := r.spares(farm, m, d)
		if why == nil {
			return m, d, nil
		}
		if err == nil {
			first, due, err = m, d, why
		}
	}
	return first, due, err
}

// spares says why the farm cannot do without a member for a while; nil if it can. Members that were not there for the
// release need not be there for the restarts. In a farm in memory one that has not come back is no member any more: so
// all have to be there that were. A member that an operator has drained is his.
func (r *roll) spares(farm admin.Farm, m admin.Member, due dueRestart) error {
	if err := rolling.Serves(m); err != nil {
		return err
	}
	p, err := r.f.configs.Rollout(due.rollout)
	if err != nil {
		p = configsync.Progress{}
	}
	if !farm.Durable {
		if err := rolling.Present(farm, p.Rollout.Ready); err != nil {
			return err
		}
	}
	return rolling.Spares(farm, m, rolling.Floor(farm, m, p.Rollout.Unconfirmed))
}
